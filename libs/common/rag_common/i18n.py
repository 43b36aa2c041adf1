"""What users read, in their language.

The English text is the key (gettext's msgid), so code raises, stores and logs English, and the boundary
(the API, the command line) calls :func:`translate`. A msgid with ``{name}`` stands for every text of that
form: what stands in its places is carried over. Whatever the catalogue does not know stays English.

``make messages`` collects the msgids from the source into ``locale/ru/LC_MESSAGES/ragp.po``.
"""

import gettext
import struct
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from rag_common.catalogue import Catalogue

DOMAIN = "ragp"
LOCALES = Path(__file__).with_name("locale")
ENGLISH = "en"
LANGUAGES = (ENGLISH, "ru")
"""The first one where the user has named none of them."""
MARKED = "marked"
"""Context (gettext's msgctxt) of what code looks up by its msgid: it is not looked for in texts."""

MAX_TEXT = 4000
"""Characters; a longer text (a log, say) is no message, and is not looked up."""
_MAX_RANGES = 20


def translate(message: str, language: str) -> str:
    """The message in this language, or as it is.

    A text of several lines, of several messages joined by ``"; "``, or of a name, ``": "`` and a message
    is translated piece by piece where it is not known as a whole.
    """
    if language not in LANGUAGES or language == ENGLISH or len(message) > MAX_TEXT:
        return message
    return _catalogue(language).translate(message)


def template(msgid: str, language: str) -> str:
    """The translation of a msgid that is marked in the code, for ``str.format``."""
    return msgid if language == ENGLISH else _translations(language).pgettext(MARKED, msgid)


def ngettext(singular: str, plural: str, count: int, language: str) -> str:
    """The template of the form that goes with ``count``, for ``str.format``."""
    if language == ENGLISH:
        return singular if count == 1 else plural
    return _translations(language).npgettext(MARKED, singular, plural, count)


def accepted_language(header: str | None) -> str:
    """Which of :data:`LANGUAGES` an ``Accept-Language`` header prefers (RFC 9110, 12.5.4).

    Of two that are equally welcome the one named first; the default where none is.
    """
    if not header:
        return ENGLISH
    quality: dict[str, float] = {}
    for part in header.split(",", _MAX_RANGES)[:_MAX_RANGES]:
        language_range, _, parameter = part.partition(";")
        primary = language_range.strip().lower().partition("-")[0]
        if primary:
            quality[primary] = max(quality.get(primary, 0.0), _quality(parameter))
    anything = quality.pop("*", 0.0)
    candidates = [name for name in quality if name in LANGUAGES]
    candidates += [name for name in LANGUAGES if name not in quality]
    best = max(candidates, key=lambda name: quality.get(name, anything))
    return best if quality.get(best, anything) > 0 else ENGLISH


def environment_language(environ: Mapping[str, str]) -> str:
    """Which of :data:`LANGUAGES` the environment asks for, by gettext's rules.

    The locale is the first of ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` that is set. Unless that is ``C``
    or ``POSIX``, ``LANGUAGE`` wins: a list, by colons, of languages to try in turn.
    """
    locale = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "C")
    if _primary(locale) in ("c", "posix"):
        return ENGLISH
    wanted = environ.get("LANGUAGE") or locale
    return next((name for name in map(_primary, wanted.split(":")) if name in LANGUAGES), ENGLISH)


def _primary(locale: str) -> str:
    """``ru_RU.UTF-8`` → ``ru``."""
    return locale.partition(".")[0].partition("@")[0].partition("_")[0].strip().lower()


def _quality(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0


@cache
def _catalogue(language: str) -> Catalogue:
    translations = _translations(language)
    return Catalogue({msgid: translations.gettext(msgid) for msgid in msgids(_path(language).read_bytes())})


@cache
def _translations(language: str) -> gettext.NullTranslations:
    with _path(language).open("rb") as file:
        return gettext.GNUTranslations(file)


def _path(language: str) -> Path:
    return LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.mo"


def msgids(catalogue: bytes) -> Iterator[str]:
    """The messages without context and plural forms in a little-endian ``.mo`` file.

    gettext only answers for a known msgid. The format: GNU gettext manual, 10.3.
    """
    count, table = struct.unpack_from("<II", catalogue, 8)
    for number in range(count):
        length, offset = struct.unpack_from("<II", catalogue, table + 8 * number)
        msgid = catalogue[offset : offset + length]
        if msgid and b"\0" not in msgid and b"\4" not in msgid:
            yield msgid.decode()
