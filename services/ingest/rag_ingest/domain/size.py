"""How much of a chunk a text fills: in words, in characters, and in tokens of the model that reads it."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from rag_common.languages import reads

CONTEXT_TOKENS = 40
"""Of a model's window, kept for what is put before a chunk's text, and for the special tokens."""
SPECIAL_TOKENS = 4
"""The beginning and the end, and a prefix such as ``passage: ``."""


class _Script(NamedTuple):
    letters: re.Pattern[str]
    sample: str
    """A letter of it."""
    tokens: float
    """For each letter."""


# Least squares over 2,900 pieces of English text and code, 600 characters each, with MiniLM's WordPiece: 0.22
# tokens for a letter, 0.53 for a digit, 1.04 for a punctuation mark. Vocabularies of a hundred languages
# need about 0.25 for a letter of Latin or Cyrillic and nearly one for an ideograph.
_SCRIPTS = (
    _Script(re.compile(r"[A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff]"), "a", 0.25),
    _Script(re.compile(r"[\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f]"), "я", 0.25),
    _Script(re.compile(r"[\u0370-\u03ff]"), "α", 0.4),
    _Script(re.compile(r"[\u0530-\u058f]"), "ա", 0.4),
    _Script(re.compile(r"[\u0590-\u05ff]"), "א", 0.4),
    _Script(re.compile(r"[\u0600-\u06ff]"), "ا", 0.4),
    _Script(re.compile(r"[\u0900-\u097f]"), "अ", 0.4),
    _Script(re.compile(r"[\u0e00-\u0e7f]"), "ก", 0.4),
    _Script(re.compile(r"[\u10a0-\u10ff]"), "ა", 0.4),
    _Script(re.compile(r"[\u1100-\u11ff\uac00-\ud7ff]"), "가", 0.8),
    _Script(re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"), "中", 0.8),
)
_PER_DIGIT = 0.5
_DIGITS = re.compile(r"\d")
_MARKS = re.compile(r"[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Window:
    """What a space's model takes in at once: ``tokens`` of text in ``languages`` (``*``: all).

    Text that the model does not read is found by its words alone and needs no room here.
    """

    tokens: int
    languages: tuple[str, ...]

    def estimate(self, text: str) -> float:
        """About the tokens of ``text``, without those of letters that the model does not read."""
        tokens = _PER_DIGIT * len(_DIGITS.findall(text)) + len(_MARKS.findall(text))
        for script in _known(self.languages, ascii_only=text.isascii()):
            tokens += script.tokens * len(script.letters.findall(text))
        return tokens


@lru_cache(maxsize=64)
def _known(languages: tuple[str, ...], *, ascii_only: bool) -> tuple[_Script, ...]:
    candidates = _SCRIPTS[:1] if ascii_only else _SCRIPTS
    return tuple(script for script in candidates if reads(languages, script.sample))


@dataclass(frozen=True, slots=True)
class ChunkSize:
    """The most that one chunk holds."""

    words: int
    characters: int
    window: Window

    def share(self, text: str) -> float:
        """How much of a chunk the text fills; 1 is full. Of joined texts it is at most the sum of theirs."""
        return max(
            len(text.split()) / self.words,
            len(text) / self.characters,
            self.window.estimate(text) / max(1, self.window.tokens - CONTEXT_TOKENS),
        )
