"""Which of the two languages with thresholds of their own a text is in, cheaply."""

import re
from typing import Literal

from rag_common.languages import script_of

Language = Literal["en", "ru"]

SAMPLE = 600
"""Characters of a text that are looked at."""
SCRIPT_SAMPLE = 100
"""Characters that tell the script."""
_WORD = re.compile(r"[^\W\d_]+")
_NOT_RUSSIAN = re.compile("[іїєґўјљњћџђѓќәғқңөұүһ]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that several of these languages share, such as "in", are in neither list.
_ENGLISH = _words(
    """
    the of and to with that by are from at was which what who whom whose how did does when where why many much
    has have had its this these were been their they not or it he she his her can be as
    """
)
_FOREIGN = _words(
    """
    der das und ist nicht mit von für auf ein eine einer wie wer wann wo dem den zu sich sind wird durch auch
    le la les des est une dans pour que qui et du au aux sur quel quelle comment où par avec sont pas ce
    el los las una del con cómo cuál qué quién es y se su más fue
    il lo gli di che per della con è sono come chi quale nel non
    os uma do da dos das não em na no ao são foi
    het een van en zijn voor niet met wat wie hoe op
    w z się jest nie co jak dla oraz przez
    och att det som är på av till ve bir bu için ile
    """
)


def language_of(text: str) -> Language | None:
    """English or Russian; ``None``: another language, or nobody can tell.

    Words of names and tables do not tell: text in Latin script is English unless it has more function words
    of other languages, and in Cyrillic Russian unless it has letters that Russian has not.
    """
    sample = text[:SAMPLE].casefold()
    script = script_of(sample[:SCRIPT_SAMPLE]) or script_of(sample)
    if script == "CYRILLIC":
        return None if _NOT_RUSSIAN.search(sample) else "ru"
    if script != "LATIN":
        return None
    words = _WORD.findall(sample)
    english = sum(word in _ENGLISH for word in words)
    return "en" if english >= sum(word in _FOREIGN for word in words) else None
