"""How many tokens a text is, rather too many than too few, where nobody counts them.

Ollama truncates a prompt that is too long without a word, and has no endpoint that tokenizes; so what is
sent is kept below the context by this estimate. A vocabulary has most English words whole and writes those
of other languages in pieces, so a word costs less where English function words are near. The weights follow
the worst of the tokenizers of SmolLM2, Llama 2 and 3, Qwen 3 and MiniLM, on the Universal Declaration of
Human Rights and manual pages in many languages, the corpora of the evaluation, code and identifiers;
docs/prompts.md has the figures. A vocabulary made for many languages needs half of the estimate in some.
"""

import math
import re
from bisect import bisect_right
from collections import Counter
from functools import lru_cache

_WORD = re.compile(
    r"[A-Za-z]++[0-9][A-Za-z0-9]*+|[0-9]++[A-Za-z][A-Za-z0-9]*+"  # an identifier
    r"|[A-Z]*+[a-z]++|[A-Z]++"  # of camelCase each part
)
_BLANKS = re.compile(r"[ \t]{2,}")

_FUNCTION_WORDS = """
    the and of that with which this these those from have has been were their its would should could they you
    your not by when where only other than then there because between each if
"""
_ENGLISH = frozenset(f"{_FUNCTION_WORDS} {_FUNCTION_WORDS.title()}".split())
"""In hardly any other language are these frequent words; one token each."""
_REACH = 10
"""Words behind one of them that count as English."""
_ENGLISH_WORD, _ENGLISH_LETTER = 0.75, 0.15
_WORD_ELSEWHERE, _LETTER_ELSEWHERE = 0.6, 0.38
_LONG = 12
"""Letters of a word; of a longer one (chemical names, base64) hardly a piece is in a vocabulary."""
_LETTER_BEYOND = 0.55
_LETTER_OF_IDENTIFIER = 0.8
_CAPITAL = 0.45
"""More than a small letter: words in capitals are rare in vocabularies."""

_WEIGHTS = (
    (0x00, 1.0),
    (0x20, 0.0),  # a blank belongs to the word behind it
    (0x21, 1.0),  # punctuation and digits
    (0x41, _CAPITAL),
    (0x5B, 1.0),
    (0x61, 0.0),  # a-z: by words
    (0x7B, 1.0),
    (0xC0, 1.6),  # Latin with diacritics
    (0x100, 2.25),
    (0x250, 1.4),  # Greek: two bytes in UTF-8, as up to Arabic
    (0x400, 2.0),  # Cyrillic capitals
    (0x430, 1.0),  # Cyrillic
    (0x460, 2.0),
    (0x500, 1.4),
    (0x800, 2.0),  # Indic: three bytes, as up to Hangul
    (0x10A0, 2.5),
    (0x1E00, 3.0),  # Vietnamese
    (0x2010, 1.5),  # dashes and quotation marks
    (0x2040, 2.0),
    (0xAC00, 3.0),  # Hangul
    (0x10000, 4.0),  # one token for each byte
)
"""Tokens of a character, from this code point on, without what its word costs."""
_FROM = [code for code, _ in _WEIGHTS]


def estimated_tokens(text: str) -> int:
    """Tokens of a text. More words behind a text never make it less, and lines cost no more together than
    alone, but for one token for each line end."""
    characters = sum(_weight(character) * count for character, count in Counter(text).items())
    return math.ceil(characters + _words(_WORD.findall(text)) + len(_BLANKS.findall(text)))


def _words(words: list[str]) -> float:
    tokens = 0.0
    english = 0
    for word in words:
        if word in _ENGLISH:
            tokens += 1
            english = _REACH
        elif english:
            tokens += _english(word)
            english -= 1
        else:
            tokens += _elsewhere(word)
    return tokens


@lru_cache(maxsize=16384)
def _english(word: str) -> float:
    return _cost(word, _ENGLISH_WORD, _ENGLISH_LETTER)


@lru_cache(maxsize=16384)
def _elsewhere(word: str) -> float:
    return _cost(word, _WORD_ELSEWHERE, _LETTER_ELSEWHERE)


def _cost(word: str, once: float, letter: float) -> float:
    if not word.isalpha():
        return _LETTER_OF_IDENTIFIER * sum(map(str.isalpha, word))
    return once + letter * min(len(word), _LONG) + _LETTER_BEYOND * max(0, len(word) - _LONG)


@lru_cache(maxsize=4096)
def _weight(character: str) -> float:
    return _WEIGHTS[bisect_right(_FROM, ord(character)) - 1][1]
