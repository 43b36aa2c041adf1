"""Where sentences end, in Russian, English and what is written like them. Needs time linear in the text.

A wrong end costs little here, but it must never be inside a name or between a number and what it counts:
in doubt there is no end. One set of rules serves mixed text, so no language has to be guessed.
"""

import re
from collections.abc import Iterator

# Possessive, and never from the middle of a run: a megabyte of full stops is gone through once.
_END = re.compile(
    r"""(?<![.!?…])(?P<mark>[.!?…]++)["'»”’)\]]*+(?:\[\d{1,3}\])*+\s++(?=\S)"""
    r"|(?<![。！？｡])[。！？｡]++[」』”’）]*+\s*+(?=\S)"
)
_LOOK_BACK = 24
"""Characters before a full stop in which its word is looked for; a longer one is no abbreviation."""
_WORD_BEFORE = re.compile(r"""[^\s("'«„“\[]+\Z""")
_OPENING = " \t\"'«„“([—–-"
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")
"""``e.g``, ``U.S``, ``т.е``: an abbreviation with full stops inside."""
_SURELY_A_WORD = 5
"""Letters from which a word in front of a full stop and a small letter is taken for no abbreviation."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_LAST = _words(
    """
    mr mrs ms dr prof rev gen col capt lt sgt hon st mt ft messrs sr vs fig figs eq eqs ref refs sec ch vol
    no nos pp ed eds cf ca approx jan feb mar apr jun jul aug sept oct nov dec co dept univ viz
    т рис табл илл им ул пер просп пл наб бул корп стр кв обл р-н пос дер оз ст ч п пп гл разд см ср напр
    проф акад доц канд инж св вв мл ок прибл тел факс зам зав ген лат англ нем фр греч рус цит изд ред сост
    вып
    """
)
"""Something always follows these: a name, a number, an explanation."""
_MAY_BE_LAST = _words(
    """
    etc al inc ltd corp jr esq am pm a.m p.m в др пр руб коп тыс млн млрд трлн чел экз шт мин сек
    час кг км мм га долл у.е н.э т.д т.п т.к проч
    """
)
"""Last if a capital letter follows."""
_YEARS = frozenset(("г", "гг"))
"""After a number a year, or grams; else a town."""
_LIST_END = re.compile(r"\b[тТ]\.\s+\Z")


def sentence_ends(text: str, start: int, end: int) -> Iterator[int]:
    """Where the sentences of ``text[start:end]`` but the last one end, white space after them included."""
    for match in _END.finditer(text, start, end):
        following = text[match.end() : match.end() + 4].lstrip(_OPENING)[:1]
        if match["mark"] is None or _ends(text, match.start(), start, match["mark"], following):
            yield match.end()


def _ends(text: str, position: int, start: int, mark: str, following: str) -> bool:
    if mark != ".":
        return not following.islower()
    found = _WORD_BEFORE.search(text[max(start, position - _LOOK_BACK) : position])
    if found is None:  # a full stop by itself, as in text with spaces around punctuation
        return not following.islower()
    word = found.group()
    if word.isdigit():
        before = text[max(start, position - _LOOK_BACK) : position - len(word)].rstrip(" ")
        return _number_ends(word, following, first=not before or before.endswith("\n"))
    return _word_ends(word, text[max(start, position - _LOOK_BACK) : position], following)


def _number_ends(number: str, following: str, *, first: bool) -> bool:
    """``3.`` begins an item of a list, ``01. 02.`` is a date, ``in 2017. the`` ends."""
    return not first and (following.isupper() or (following.islower() and len(number) == 4))


def _word_ends(word: str, before: str, following: str) -> bool:
    if len(word) == 1 and word.isupper():
        return False  # an initial
    lower = word.lower()
    # «т. д.», «т. п.» close a list, the «т. е.» does not
    if _LIST_END.search(before, 0, len(before) - len(word)):
        return lower in ("д", "п") and following.isupper()
    if lower in _YEARS:
        return following.isupper() and _follows_number(before[: -len(word)])
    if lower in _MAY_BE_LAST:
        return following.isupper()
    if lower in _NEVER_LAST or _DOTTED.fullmatch(lower):
        return False
    letters = sum(map(str.isalpha, word))
    if letters == 1 and len(word) == 1:
        return False
    return not following.islower() or letters >= _SURELY_A_WORD


def _follows_number(before: str) -> bool:
    """``1990``, ``1941—1945`` and ``90-х`` are numbers."""
    words = before.split()
    return bool(words) and any(map(str.isdigit, words[-1]))
