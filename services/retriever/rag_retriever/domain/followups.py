"""Questions that only the conversation before them makes understandable, in English and Russian.

Nothing here reads a language: a question that points back ("and how old is it?", "а для подрядчиков?") is
searched together with the words that the one before was about. Where that is mistaken, a search has some
words too many; where it is overlooked, it has none of those that count. So in doubt a question depends.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from rag_common.contracts import MAX_QUESTION, Turn
from rag_retriever.domain.function_words import (
    AUXILIARIES,
    CONJUNCTIONS,
    FUNCTION_WORDS,
    OPENERS,
    PERSONAL,
    POINTING,
    POSSESSIVE,
    PREPOSITIONS,
    QUESTION_WORDS,
)
from rag_retriever.domain.names import names
from rag_retriever.domain.stems import STEM

MAX_CONTEXT_WORDS = 12
"""Words of the question before that are taken along: the latest ones, since a conversation drifts."""
MAX_NAMES = 3
"""Names that are taken from the answer before."""
SAYS_ENOUGH = 5
"""A question with so many words of its own may begin with "and" and still stand alone."""
FRAGMENT = 3
"""Words of a question without a verb: "in Germany?", "для студентов?"."""

_WORD = re.compile(r"\w+")
_WHAT_ABOUT = re.compile(r"^(?:what about|how about|как насчет|что насчет|как быть)\b")
_MERE_SUBJECT = re.compile(
    r"\bit (?:takes?|took|costs?)\b.*\b(?:to|for)\b"
    r"|\b(?:is|was|be) it (?:\w+ )?(?:possible|true|necessary|allowed|legal|safe|important|permitted"
    r"|forbidden|required|better|worth|easy|hard|difficult|mandatory|enough|ok|okay)\b.+"
    r"|\bit (?:is|was) (?:possible|true|necessary|allowed|legal|safe|important)\b"
)
""""It" that stands for nothing."""
_MERE_PLACE = re.compile(r"\b(?:is|are|was|were|be|been) there\b|\bthere (?:is|are|was|were|has|have)\b")
_NOW = re.compile(
    r"\b(?:this|these) (?:year|month|week|day|days|morning|evening|time)\b"
    r"|\b(?:этот|этом|эту|этой|это) (?:год|году|месяце?|недел[еюя]|день|раз|время)\b"
)
_RELATIVE = re.compile(
    r"\b(?:those|this) (?:who|that|which|whose)\b"
    r"|\b(?:тот|та|те|того|той|тому|ту|тех|теми),? (?:кто|кого|кому|что|чтобы|котор\w+|как|где|когда)\b"
    r"|\bеще не\b"
)
_THAT = re.compile(
    r"\bthat\W*$|\b(?:about|after|before|by|for|from|in|of|on|to|with|like) that\b"
    r"|\b(?:is|was|does|did|do|can|has|will|would) that\b"
)
_WHICH_ONE = re.compile(r"\b(?:which|this|that|first|second|third|last|other|next) one\b")
_QUANTITY = re.compile(
    r"^(?:how (?:many|much|long|old|far|big|large|often)|сколько|как (?:долго|часто|далеко))\b"
)
_DEFINITION = re.compile(
    r"^(?:what|who) (?:is|are|was|were) (?!the\b)|\bmeans?\b|\bтак(?:ой|ая|ое|ие)\b|\bэто\b"
)


class _Word(NamedTuple):
    written: str
    plain: str
    """Lower case, е for ё."""
    start: int

    @property
    def says_something(self) -> bool:
        return self.plain not in FUNCTION_WORDS

    @property
    def is_name(self) -> bool:
        return self.written[0].isupper()


def in_context(question: str, history: Sequence[Turn]) -> str:
    """The question, with the words of the conversation (the oldest turn first) in front that it needs.

    At most :data:`MAX_QUESTION` characters; a question that stands alone is left as it is.
    """
    before, answer = "", ""
    for turn in history:
        before, answer = _resolved(turn.question, before, answer), turn.answer
    return _resolved(question, before, answer)


def depends_on_conversation(question: str) -> bool:
    """Whether the question points to something that it does not name."""
    words = _words(question)
    own = [word for word in words if word.says_something]
    if not own:
        return True
    if words[0].plain in OPENERS or _WHAT_ABOUT.search(_plain(question)):
        return len(own) < SAYS_ENOUGH or _points_back(question, words)
    return (
        _points_back(question, words) or _is_fragment(question, words) or _lacks_object(question, words, own)
    )


def _resolved(question: str, before: str, answer: str) -> str:
    if not before or not depends_on_conversation(question):
        return question
    words = _words(question)
    wanted = {word.plain for word in words} & (PERSONAL | POINTING)
    context = _new_words(before, question)[-MAX_CONTEXT_WORDS:]
    context += [name for name in names(answer) if wanted and _new_words(name, f"{question} {before}")][
        :MAX_NAMES
    ]
    rewritten = f"{' '.join(context)}: {question}" if context else question
    return rewritten if len(rewritten) <= MAX_QUESTION else question


def _new_words(text: str, known: str) -> list[str]:
    """Of the text, each word once that says something and is not known."""
    seen = {word.plain[:STEM] for word in _words(known)}
    new: list[str] = []
    for word in _words(text):
        if word.says_something and word.plain[:STEM] not in seen:
            seen.add(word.plain[:STEM])
            new.append(word.written)
    return new


def _points_back(question: str, words: Sequence[_Word]) -> bool:
    plain = _plain(question)
    mere = {
        *(("it",) if _MERE_SUBJECT.search(plain) else ()),
        *(("there",) if _MERE_PLACE.search(plain) else ()),
    }
    excused = _spans(_NOW, plain) + _spans(_RELATIVE, plain)
    for number, word in enumerate(words):
        if word.plain not in PERSONAL | POINTING or word.plain in mere:
            continue
        if any(first <= word.start < last for first, last in excused):
            continue
        if not _named_before(question, words[:number], word):
            return True
    return bool(_THAT.search(plain) or _WHICH_ONE.search(plain))


def _named_before(question: str, before: Sequence[_Word], pronoun: _Word) -> bool:
    """Whether the question itself has said what the pronoun stands for: in a clause before, or, for a
    possessive, by a name."""
    if pronoun.plain in POSSESSIVE and any(word.is_name for word in before[1:]):
        return True
    said = False
    for word in before:
        if said and (word.plain in CONJUNCTIONS or _comma_before(question, word)):
            return True
        said = said or word.says_something
    return said and _comma_before(question, pronoun)


def _comma_before(question: str, word: _Word) -> bool:
    return question[: word.start].rstrip(" ").endswith((",", ";", ":", "—", "–", "(", ".", "!", "?"))


def _is_fragment(question: str, words: Sequence[_Word]) -> bool:
    plain = {word.plain for word in words}
    if len(words) > FRAGMENT or plain & (QUESTION_WORDS | AUXILIARIES):
        return False
    return words[0].plain in PREPOSITIONS or question.rstrip().endswith("?")


def _lacks_object(question: str, words: Sequence[_Word], own: Sequence[_Word]) -> bool:
    """One word of its own, that is no name, makes no question: "what is the deadline?", "кто автор?"."""
    if len(own) > 1 or own[0].is_name:
        return False
    plain = _plain(question)
    if _QUANTITY.search(plain):
        return True
    return any(word.plain in QUESTION_WORDS for word in words) and not _DEFINITION.search(plain)


def _words(text: str) -> list[_Word]:
    return [_Word(found[0], _plain(found[0]), found.start()) for found in _WORD.finditer(text)]


def _plain(text: str) -> str:
    return text.lower().replace("ё", "е")


def _spans(pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    return [found.span() for found in pattern.finditer(text)]
