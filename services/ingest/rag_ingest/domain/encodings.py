"""Which encoding the bytes of a text are in, where they are not UTF-8."""

import codecs
import re
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from rag_common.errors import BadDocument
from rag_ingest.domain.cyrillic import CODE_PAGES, guess_cyrillic, likelihood, sample_of
from rag_ingest.domain.latin import guess_latin
from rag_ingest.domain.sampling import near_non_ascii

_BOMS: tuple[tuple[bytes, str], ...] = (
    # The marks of UTF-32 begin like one of UTF-16.
    (codecs.BOM_UTF32_LE, "utf_32_le"),
    (codecs.BOM_UTF32_BE, "utf_32_be"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)
_SAMPLE = 4096
_MOST_ODD = 0.02
"""Share of characters that stand where no writing has them, in text that was decoded rightly."""
_PLAIN = re.compile("[\t\r\n -~\u00a0-\u024f\u0400-\u04ff\u2010-\u203a\u20ac\u2116\ufeff]")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE | re.ASCII)
_IN_MARKUP = re.compile(
    rb"""<\?xml[^>]{0,100}encoding\s*=\s*["']([\w.:-]{1,40})|<meta[^>]{0,200}charset\s*=\s*["']?([\w.:-]{1,40})""",
    re.IGNORECASE,
)
_NO_CODE_PAGES = ("utf", "idna", "punycode", "raw-unicode", "unicode-escape", "mbcs", "oem", "undefined")
"""What the bytes would have shown before, and what no file is in."""
_MIXED = re.compile(
    r"[A-Za-z][\u0370-\u07ff\u0e00-\u0eff\uff61-\uff9f]|[\u0370-\u07ff\u0e00-\u0eff][A-Za-z\u00c0-\u024f]"
)
"""Two scripts in one word."""


class Guess(NamedTuple):
    """What a detector takes the bytes for, and how sure it is (0 to 1)."""

    encoding: str
    confidence: float


Detector = Callable[[bytes], Sequence[Guess]]
"""Guesses, the best first. The names are those of Python's codecs."""

_LEAST_CONFIDENCE = 0.02
_AS_GOOD = 0.9
"""Guesses whose confidence is this share of the best one's are taken for equally good."""
_FAIRLY_SURE = 0.1
_BEYOND_LATIN = "\u0250"
_RUSSIAN = re.compile("[а-яёА-ЯЁ]")


def decode_marked(data: bytes) -> str | None:
    """Text of UTF-16 or UTF-32 with a byte order mark; ``None`` without one.

    :raises BadDocument: ``damaged_encoding``.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            name = encoding[:6].upper().replace("_", "-")
            try:
                text = data[len(mark) :].decode(encoding)
            except UnicodeDecodeError as error:
                raise BadDocument(
                    f"The text says that it is {name}, but is not at byte {error.start + len(mark)}."
                    " Save the file as UTF-8 and send it again.",
                    code="damaged_encoding",
                ) from error
            if _odd_share(text) > _MOST_ODD:
                raise BadDocument(
                    f"The file begins as text in {name}, but what follows is no text.", code="not_text"
                )
            return text
    return None


def decode_utf_16(data: bytes) -> str | None:
    """Text of UTF-16 without a mark, where it can be nothing else; else ``None``."""
    if len(data) % 2:
        return None
    found = []
    for encoding in ("utf_16_le", "utf_16_be"):
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            sample = text[:_SAMPLE]
            if len(_PLAIN.findall(sample)) >= (1 - _MOST_ODD) * len(sample):
                found.append(text)
    return found[0] if len(found) == 1 and "\x00" not in found[0] else None


def decode_guessed(data: bytes, declared: str | None, detector: Detector | None) -> str | None:
    """Text of a code page; ``None`` where it is not certain which.

    What the file, or its sender, declares decides where the content leaves it open.
    """
    guess = guess_cyrillic(data)
    cyrillic = _strictly(data, guess.encoding) if guess is not None and guess.certain else None
    page = _page(declared)
    said = _plausible(data, page) if page else None
    if guess is None or cyrillic is None:
        return said or (_detected(data, detector) if detector is not None else None)
    return said if said and page and _as_likely(data, page, guess.encoding) else cyrillic


def declared_encoding(media_type: str | None) -> str | None:
    """The parameter ``charset`` of a media type."""
    found = _CHARSET.search(media_type or "")
    return found.group(1) if found else None


def encoding_in_markup(data: bytes) -> str | None:
    """What the beginning of an HTML or XML file says about itself."""
    found = _IN_MARKUP.search(data[:_SAMPLE])
    return next(filter(None, found.groups())).decode() if found else None


def _detected(data: bytes, detector: Detector) -> str | None:
    latin = guess_latin(data)
    # A text that can be only this is that, whatever a detector makes of a few letters.
    if len(latin) == 1 and (text := _plausible(data, latin[0])) is not None:
        return text
    guesses = [guess for guess in detector(data) if guess.confidence >= _LEAST_CONFIDENCE]
    if latin:
        return _plausible(data, _likeliest(latin, guesses))
    return _first_plausible(data, guesses)


def _likeliest(pages: Sequence[str], guesses: Sequence[Guess]) -> str:
    """The first of the pages, unless the detector is fairly sure of another."""
    confidence = {guess.encoding: guess.confidence for guess in guesses}
    best = max(pages, key=lambda page: confidence.get(page, 0))
    least = max(_FAIRLY_SURE, confidence.get(pages[0], 0) / _AS_GOOD)
    return best if confidence.get(best, 0) >= least else pages[0]


def _first_plausible(data: bytes, guesses: Sequence[Guess]) -> str | None:
    best = guesses[0].confidence * _AS_GOOD if guesses else 0
    texts = [
        (guess.encoding, text)
        for guess in guesses
        if guess.confidence >= best and (text := _plausible(data, guess.encoding)) is not None
    ]
    # Python's minimum is the first of equals.
    texts = sorted((each for each in texts if _fits_the_rest(*each)), key=lambda each: each[0] != "cp1252")
    return min(texts, key=lambda each: _odd_share(each[1]))[1] if texts else None


def _fits_the_rest(page: str, text: str) -> bool:
    """No other alphabet among Latin words; nor Russian letters alone in a page that no Russian text is in."""
    sample = near_non_ascii(text, _SAMPLE)
    strange = {each for each in sample if each.isalpha() and not each.isascii()}
    ascii_letters = sum(each.isascii() and each.isalpha() for each in sample)
    if ascii_letters >= sum(not each.isascii() for each in sample):
        return all(each < _BEYOND_LATIN for each in strange)
    return page.replace("-", "_") in CODE_PAGES or not strange or not all(map(_RUSSIAN.match, strange))


def _as_likely(data: bytes, declared: str, guessed: str) -> bool:
    sample = sample_of(data)
    texts = (sample.decode(name, "replace") for name in (declared, guessed))
    said, found = map(likelihood, texts)
    return said >= found


def _page(declared: str | None) -> str | None:
    """Python's name of a code page; ``None`` for what is not known, or is no code page."""
    try:
        name = codecs.lookup(declared or "").name
    except (LookupError, ValueError):
        return None
    return None if name.startswith(_NO_CODE_PAGES) else name


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
    # A codec that is not one between text and bytes is a LookupError.
    except (LookupError, UnicodeDecodeError):
        return None
    return text if "\x00" not in text else None


def _plausible(data: bytes, encoding: str) -> str | None:
    """The text, if the bytes can be in this encoding and give something that looks like writing."""
    text = _strictly(data, encoding)
    return text if text and _odd_share(text) <= _MOST_ODD else None


def _odd_share(text: str) -> float:
    """Of the characters that are not ASCII; 0 for ASCII."""
    sample = near_non_ascii(text, _SAMPLE)
    strange = sum(not character.isascii() for character in sample)
    odd = sum(map(_is_odd, " " + sample, sample, sample[1:] + " "))
    return (odd + len(_MIXED.findall(sample))) / max(strange, 1)


def _is_odd(before: str, character: str, after: str) -> bool:
    """No writing has such a character, or has it between these two."""
    if character.isascii():
        return False
    if character.isalpha():
        if not character.isupper():
            return False
        # A capital after a small letter; or one of the Latin alphabet that stands alone and is no initial.
        lone = character < "\u0250" and not (before.isalnum() or after.isalpha() or after in ".'-\u2019")
        return before.islower() or lone
    category = unicodedata.category(character)
    if category in ("Cc", "Cn", "Co", "Cs"):
        return True
    # Writing without spaces has its punctuation between letters.
    return before.isalpha() and after.isalpha() and category in _SYMBOLS and character < "\u2600"


_SYMBOLS = frozenset(("Sm", "Sc", "Sk", "So", "No", "Po"))
