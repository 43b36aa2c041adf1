"""Which of the Cyrillic code pages a text is in, by the letters that come out.

Detectors take one of these pages for another in short texts: they differ in the capitals or in the order of
the letters only. Here each page is tried, and what comes out is compared with how Russian is written.
"""

import math
import re
from collections import Counter
from contextlib import suppress
from typing import NamedTuple

from rag_ingest.domain.sampling import near_non_ascii

CODE_PAGES = ("cp1251", "koi8_r", "cp866", "mac_cyrillic", "iso8859_5", "koi8_u")
SAMPLE_BYTES = 4 * 1024
"""Of a long text so much is looked at, around what is not ASCII."""

# Percentages of the letters in Russian text: Lyashevskaya and Sharov, Frequency dictionary (2009).
_PERCENT = dict(
    zip(
        "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
        (
            *(
                10.97,
                8.45,
                8.01,
                7.35,
                6.70,
                6.26,
                5.47,
                4.73,
                4.54,
                4.40,
                3.49,
                3.21,
                2.98,
                2.81,
                2.62,
                2.01,
            ),
            *(1.90, 1.74, 1.70, 1.65, 1.59, 1.44, 1.21, 0.97, 0.94, 0.73, 0.64, 0.48, 0.36, 0.32, 0.26, 0.04),
            0.04,
        ),
        strict=True,
    )
)
_WEIGHTS = {letter: math.log(percent / 100) for letter, percent in _PERCENT.items()}
_WEIGHTS |= {letter.upper(): weight - 1.0 for letter, weight in _WEIGHTS.items()}
_WEIGHTS |= dict.fromkeys("«»—–…", math.log(0.004))
_WEIGHTS |= dict.fromkeys("№“”„’°·\u00a0", math.log(0.001))
_WEIGHTS |= dict.fromkeys("іїєґўІЇЄҐЎ§", math.log(0.0003))
_WEIGHTS |= dict.fromkeys("─│═║", math.log(0.02))
"""Frames of tables stand in CP866 and KOI8-R texts; repetitions are counted once."""
_WEIGHTS |= dict.fromkeys("┌┐└┘├┤┬┴┼╔╗╚╝╠╣╦╩╬░▒▓█", math.log(0.0003))
_RARE = math.log(0.00001)
_DEFECT = math.log(0.001)
_UNBALANCED = math.log(0.1)
_SMALL_BEGINNING = math.log(0.06)
_LONELY = math.log(0.08)

# Percentages in Hebrew text, roughly: they need only tell it from Russian.
_HEBREW = dict(
    zip(
        "אבגדהוזחטיכלמנסעפצקרשתםןךףץ",
        (
            *(6.3, 4.7, 1.3, 2.6, 9.9, 10.4, 1.3, 2.5, 1.2, 11.1, 2.3, 7.4, 4.6),
            *(2.9, 1.5, 3.2, 1.7, 1.2, 2.1, 5.6, 4.4, 5.0, 3.0, 1.4, 0.8, 0.3, 0.1),
        ),
        strict=True,
    )
)
_HEBREW_WEIGHTS = {letter: math.log(percent / 100) for letter, percent in _HEBREW.items()}
_FINAL_INSIDE = re.compile("[םןךףץ](?=[א-ת])")

_LETTER = "[а-яёА-ЯЁ]"
_DEFECTS = re.compile(
    # A capital after a small letter; two scripts in one word.
    r"(?<=[а-яё])[А-ЯЁ]|(?<=[A-Za-z])[а-яёА-ЯЁ]|(?<=[а-яёА-ЯЁ])[A-Za-z]"
    # A symbol inside of a word, or one that stands where no space goes before it or behind it.
    rf"|(?<={_LETTER})[^\W\da-zA-Zа-яёА-ЯЁіїєґўІЇЄҐЎѐ-џЀ-Џ]|(?<={_LETTER})[—„«№…“]{_LETTER}|(?<!\w)[—–’]{_LETTER}"
    rf"|(?<={_LETTER})[«„№]|(?<!\S)[»”…]{_LETTER}"
    # A word of one letter that is none, unless it is an initial or a mark in a list.
    # A letter without a sound of its own, or "ы", behind a vowel or at the beginning of a word.
    r"|(?<=[аеёиоуыэюяьъАЕЁИОУЫЭЮЯЬЪ])[ьъыЬЪЫ]|(?<=[^а-яёА-ЯЁ])[ьъыЬЪЫ](?=[а-яёА-ЯЁ])"
    r"|(?<=[а-яё] )Я(?![\w])|(?<![\w.-])[бгджзйлмнпртфхцчшщъыьэюЗЙЛНПРТФХЦЧШЩЪЫЬЭЮ](?![\w.)'’-])"
)
# "Витамин С", or a dash of the other page: neither is certain.
_LONE_CAPITAL = re.compile(r"(?<=\w )[АВИКОСУ](?= )")
_CAPITALS = re.compile("[А-ЯЁ]{2,}(?![а-яё])")
# Only the pages that swap "я" with "Я" differ in this.
_SMALL_BEGINNINGS = re.compile(r"(?:\A|[.!?]\s+)я")
_RUNS = re.compile(rb"(.)\1{2,}", re.DOTALL)
_WORDS = re.compile(rf"{_LETTER}+")

_LEAST_LETTERS = 5
_LEAST_MEAN = -3.75
"""Russian prose has a mean of about -3.1 for a character, the same bytes in other pages -4 and below."""
_LEAST_MARGIN = 1.5
"""A text is as good as certain when the next page is 4.5 times less likely (its logarithm is 1.5)."""


class CyrillicGuess(NamedTuple):
    """The likeliest code page and how likely it is."""

    encoding: str
    mean: float
    """Mean natural logarithm of the frequency of the characters that are not ASCII."""
    margin: float
    """Natural logarithm of how much likelier the page is than the next one that gives another text."""
    letters: int

    @property
    def certain(self) -> bool:
        return self.letters >= _LEAST_LETTERS and self.mean >= _LEAST_MEAN and self.margin >= _LEAST_MARGIN


def guess_cyrillic(data: bytes) -> CyrillicGuess | None:
    """The likeliest of :data:`CODE_PAGES`; ``None`` where none of them gives a text with Cyrillic letters."""
    sample = sample_of(data)
    texts: dict[str, str] = {}
    for encoding in CODE_PAGES:
        with suppress(UnicodeDecodeError):
            # Of pages that give the same text the most common one is named: that is their order.
            texts.setdefault(sample.decode(encoding), encoding)
    likely = sorted(texts, key=_of_letters, reverse=True)[:3]
    found = sorted(((likelihood(text), texts[text], text) for text in likely), reverse=True)
    score, encoding, text = found[0]
    # "100 €" a hundred times is no more certain than once.
    letters = sum(map(len, set(_WORDS.findall(text))))
    characters = sum(not character.isascii() for character in text)
    if not letters:
        return None
    margin = score - max(found[1][0] if len(found) > 1 else -math.inf, _as_hebrew(sample))
    return CyrillicGuess(encoding, score / characters, margin, letters)


def likelihood(text: str) -> float:
    """Natural logarithm of how likely these characters, less the ASCII ones, are in Russian."""
    return (
        _of_letters(text)
        + _DEFECT * len(_DEFECTS.findall(text))
        + _LONELY * len(_LONE_CAPITAL.findall(text))
        + _UNBALANCED * _unbalanced_quotes(text)
        + _SMALL_BEGINNING * len(_SMALL_BEGINNINGS.findall(text))
    )


def _as_hebrew(sample: bytes) -> float:
    """As :func:`likelihood`, of a text that is read as Windows-1255: its letters are those of KOI8-R, too."""
    text = sample.decode("cp1255", "replace")
    characters = Counter(character for character in text if not character.isascii())
    score = sum(count * _HEBREW_WEIGHTS.get(character, _RARE) for character, count in characters.items())
    return score + _DEFECT * len(_FINAL_INSIDE.findall(text))


def _unbalanced_quotes(text: str) -> int:
    """In „Russian“ and in “English” form; of «these» both ends count."""
    low, high, closing = map(text.count, "„“”")
    lone = abs(low + high - closing) if not low else abs(low - high - closing)
    return abs(text.count("«") - text.count("»")) + min(lone, low + high + closing)


def _of_letters(text: str) -> float:
    # The letters of a word in capitals are as frequent as those of other words.
    text = _CAPITALS.sub(lambda match: match.group().lower(), text)
    return sum(
        count * _WEIGHTS.get(character, _RARE)
        for character, count in Counter(text).items()
        if not character.isascii()
    )


def sample_of(data: bytes) -> bytes:
    """What is not ASCII and what is near it, ``SAMPLE_BYTES`` at most; a byte is repeated once at most."""
    return _RUNS.sub(rb"\1\1", near_non_ascii(data.decode("latin_1"), SAMPLE_BYTES).encode("latin_1"))
