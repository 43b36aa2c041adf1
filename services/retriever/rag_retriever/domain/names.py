"""Names in a text, by their capital letters."""

import re

from rag_retriever.domain.function_words import FUNCTION_WORDS

MAX_NAME = 80
"""Characters."""
_RUN = re.compile(r"\w+(?:[-'’.]\w+)*(?: \w+(?:[-'’]\w+)*)*")
_SENTENCE_START = re.compile(r"(?:^|[.!?…:\n])[\s\"'“„«(*\-–—•]*$")


def names(text: str) -> list[str]:
    """Words, or several next to each other, that begin with a capital letter, each once, in their order.

    A single word at the start of a sentence is one only if it is in capitals, or appears elsewhere.
    """
    found: dict[str, None] = {}
    for phrase in _RUN.finditer(text):
        position = phrase.start()
        run: list[str] = []
        starts_sentence = False
        for word in [*phrase[0].split(" "), ""]:
            if word[:1].isupper() and not (not run and word.lower() in FUNCTION_WORDS):
                starts_sentence = starts_sentence or (not run and _starts_sentence(text, position))
                run.append(word)
            elif run:
                name = " ".join(run)[:MAX_NAME]
                if len(run) > 1 or not starts_sentence or name[1:2].isupper():
                    found.setdefault(name)
                run, starts_sentence = [], False
            position += len(word) + 1
    return list(found)


def _starts_sentence(text: str, position: int) -> bool:
    return _SENTENCE_START.search(text[max(0, position - 10) : position]) is not None
