"""Text that somebody decoded wrongly before it reached us: recognised, and mended where that is certain.

Certain is what goes back to bytes in the wrong encoding and is valid in the right one without an
exception: the whole text, or at least a whole line of some length. So a text that only quotes such a thing
stays as it is.
"""

import re
from codecs import utf_8_decode
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from rag_ingest.domain.cyrillic import guess_cyrillic


class Mended(NamedTuple):
    """The text as it was meant, and for the reader of a warning what had been taken for what."""

    text: str
    cause: str


Mender = Callable[[str], Mended | None]
"""Undoes UTF-8 that was read as something else; ``None`` where nothing is certain to be undone."""

_MISREADINGS = {
    "mac_roman": "Mac Roman",
    "mac_cyrillic": "Mac Cyrillic",
    "cp866": "CP866",
    "koi8_r": "KOI8-R",
}
"""Code pages in which Russian UTF-8 is read and that ftfy does not undo (Mac Roman: not all of it)."""

_HIGH_BYTES = range(0x80, 0x100)


def _bytes_of(page: str) -> dict[str, int]:
    """Which byte a character was; a hole of the page is read as the control character of its number."""
    return {bytes((byte,)).decode(page, "ignore") or chr(byte): byte for byte in _HIGH_BYTES}


_TABLES = [_bytes_of(page) for page in (*_MISREADINGS, "latin_1", "cp1252", "cp1251", "cp1250", "cp437")]
_RUN = re.compile("(?<![^\x00-\x7f])[^\x00-\x7f]{2,80}")
_PROBES = 8
_HIGH_LATIN = re.compile("[\u00c0-\u00ff\u00a8\u00b8]")
_ASCII_LETTER = re.compile("[A-Za-z]")
_CONTEXT = 200
_LEAST_LETTERS = 20

_WORDS = re.compile(r"[\w’‘“”«»–—…]++")
_WORD = re.compile(r"[«“‘]?\w[\w’]+[”»’…]?")
_LEAST_WORDS = 3
_LEAST_CHARACTERS = 2
_MOST_LINES = 20_000
"""A longer text is mended as a whole or not at all: a line takes about 0.1 ms."""
_LINE_CHARACTERS = 16
"""So many characters must be mended in a line whose document is otherwise fine."""


def mend(text: str, mender: Mender) -> Mended | None:
    """The text as it was meant; ``None`` where it is fine, or nothing about it is certain."""
    if text.isascii():
        return None
    starts = _probes(text)
    if any(_may_be_utf8(match.group()) for match in starts):
        found = _undone(text, mender) or _mended_lines(text, mender)
        if found is not None:
            return found
    sample = "".join(text[match.start() : match.start() + _CONTEXT] for match in starts)
    if len(_HIGH_LATIN.findall(sample)) > 2 * len(_ASCII_LETTER.findall(sample)):
        return _cyrillic_as_latin(text)
    return None


def _probes(text: str) -> list[re.Match[str]]:
    """Runs of characters that are not ASCII, from everywhere in the text."""
    step = max(len(text) // _PROBES, 1)
    found = (_RUN.search(text, start) for start in range(0, len(text), step))
    return [match for match in found if match]


def _may_be_utf8(run: str) -> bool:
    """Whether the characters, but perhaps the last ones, are the bytes of UTF-8 in one of the pages."""
    for table in _TABLES:
        # Most runs of other text end here: no sequence begins with such a byte.
        if table.get(run[0], 0) < 0xC2 or not 0x80 <= table.get(run[1], 0) < 0xC0:
            continue
        with suppress(UnicodeDecodeError, KeyError):
            utf_8_decode(bytes(table[character] for character in run), "strict", False)
            return True
    return False


def _undone(text: str, mender: Mender) -> Mended | None:
    found = mender(text)
    if found is not None and _convincing(found.text):
        return found
    for page, name in _MISREADINGS.items():
        with suppress(UnicodeError):
            meant = text.encode(page).decode()
            if _convincing(meant):
                return Mended(meant, f"UTF-8 was read as {name}")
    return None


def _mended_lines(text: str, mender: Mender) -> Mended | None:
    causes: dict[str, None] = {}
    # Not splitlines: some of its line ends are bytes of letters here.
    lines = text.split("\n")
    if len(lines) > _MOST_LINES:
        return None
    for number, line in enumerate(lines):
        first = _RUN.search(line)
        found = _undone(line, mender) if first and _may_be_utf8(first.group()) else None
        if found is not None and sum(not each.isascii() for each in found.text) >= _LINE_CHARACTERS:
            lines[number] = found.text
            causes[found.cause] = None
    return Mended("\n".join(lines), " and ".join(causes)) if causes else None


def _convincing(text: str) -> bool:
    """Whether there are words in what came out: the roots and infinities of a formula make none."""
    joined = (run for run in _WORDS.findall(text) if not run.isascii())
    words = {word.casefold() for run in joined for word in _WORD.findall(run)}
    characters = {character for word in words for character in word if not character.isascii()}
    punctuation = not characters.isdisjoint("’‘“”…–—")
    return len(words) >= _LEAST_WORDS and (len(characters) >= _LEAST_CHARACTERS or punctuation)


def _cyrillic_as_latin(text: str) -> Mended | None:
    for page, name in (("latin_1", "Latin-1"), ("cp1252", "Windows-1252")):
        with suppress(UnicodeError):
            data = text.encode(page)
            guess = guess_cyrillic(data)
            if guess is not None and guess.certain and guess.letters >= _LEAST_LETTERS:
                cause = f"{guess.encoding.replace('_', '-').upper()} was read as {name}"
                return Mended(data.decode(guess.encoding), cause)
    return None
