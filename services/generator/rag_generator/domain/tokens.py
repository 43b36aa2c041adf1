"""How many tokens a text is, rather too many than too few, where nobody counts them.

Ollama truncates a prompt that is too long without a word, and has no endpoint that tokenizes; so what is
sent is kept below the context by this estimate. Its weights were chosen on paragraphs of XQuAD (English,
Russian) and of the corpora of chunking_evaluation, with the tokenizers of Qwen 2.5, Llama 3 and 4, Mistral
(v1, Tekken), SmolLM2, MiniLM and multilingual-e5; docs/prompts.md has the figures. They follow the worst of
these: a vocabulary made for English writes Russian nearly letter by letter, and one made for many languages
needs half of the estimate.
"""

import math
import re
from bisect import bisect_right
from collections import Counter
from functools import lru_cache

_WORD = re.compile(r"[A-Za-z]+")
_PER_WORD = 0.75
_BLANKS = re.compile(r"[ \t]{2,}")

_WEIGHTS = (
    (0x00, 1.0),
    (0x20, 0.0),  # a blank belongs to the word behind it
    (0x21, 1.0),  # punctuation and digits
    (0x41, 0.6),  # A-Z: words in capitals are rare in vocabularies
    (0x5B, 1.0),
    (0x61, 0.15),  # a-z
    (0x7B, 1.0),
    (0xC0, 1.5),  # Latin with diacritics
    (0x250, 1.3),  # Greek: two bytes in UTF-8, as up to Arabic
    (0x400, 2.0),  # Cyrillic capitals
    (0x430, 1.0),  # Cyrillic
    (0x460, 1.3),
    (0x800, 2.0),  # Indic, CJK, Hangul: three bytes
    (0x2010, 1.5),  # dashes and quotation marks
    (0x2040, 2.0),
    (0x10000, 4.0),  # one token for each byte
)
"""Tokens of a character, from this code point on."""
_FROM = [code for code, _ in _WEIGHTS]


def estimated_tokens(text: str) -> int:
    """Tokens of a text."""
    characters = sum(_weight(character) * count for character, count in Counter(text).items())
    words = len(_WORD.findall(text))
    return math.ceil(characters + _PER_WORD * words + len(_BLANKS.findall(text)))


@lru_cache(maxsize=4096)
def _weight(character: str) -> float:
    return _WEIGHTS[bisect_right(_FROM, ord(character)) - 1][1]
