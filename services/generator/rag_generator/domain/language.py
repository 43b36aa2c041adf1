"""Which of the two languages with thresholds of their own a text is in, cheaply."""

import re
from typing import Literal

Language = Literal["en", "ru"]

SAMPLE = 600
"""Characters of a text that are looked at."""
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[a-zß-ɏḀ-ỿ]")
_CYRILLIC = re.compile(r"[Ѐ-ӿ]")
_NOT_RUSSIAN = re.compile("[іїєґўјљњћџђѓќәғқңөұүһ]")
RUSSIAN_SHARE = 0.25
"""Of the letters: in a Russian text names are often in Latin script, seldom the other way round."""
FOREIGN_SHARE = 0.01
"""Of the letters: a Russian text may quote a name, a Ukrainian one has a tenth of such letters."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that several of these languages share, such as "in", and those of names, such as "la", are in neither.
_ENGLISH = _words(
    """
    the of and to with that by are from at was which what who whom whose how did do does when where why many
    much has have had its this these were been their they not or it he she his her can be as
    """
)
_FOREIGN = _words(
    """
    der das und ist nicht mit von für auf ein eine einer wie wer wann wo dem den zu sich sind wird durch auch
    est une dans pour que qui et au aux sur quel quelle comment où par avec sont pas ce combien
    una con cómo cuál qué quién cuántos es y se su más fue
    il lo gli che per della è sono chi quale nel non
    os uma das não para em ao são foi
    het een van en zijn voor niet wat wie hoe op
    w z się jest nie jak dla oraz przez
    och att det som är av till ve bir bu için ile
    """
)


def language_of(text: str) -> Language | None:
    """English or Russian; ``None``: another language, or nobody can tell.

    Words of names and tables do not tell: text in Latin script is English unless it has more function words
    of other languages, and in Cyrillic Russian unless it has letters that Russian has not.
    """
    words = _WORD.findall(text[:SAMPLE].casefold())
    letters = "".join(words)
    if not letters:
        return None
    if len(_CYRILLIC.findall(letters)) >= RUSSIAN_SHARE * len(letters):
        return "ru" if len(_NOT_RUSSIAN.findall(letters)) <= FOREIGN_SHARE * len(letters) else None
    if 2 * len(_LATIN.findall(letters)) <= len(letters):
        return None
    english = sum(word in _ENGLISH for word in words)
    return "en" if english >= sum(word in _FOREIGN for word in words) else None
