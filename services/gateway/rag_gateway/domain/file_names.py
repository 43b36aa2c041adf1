"""Names of uploaded files, as clients send them and as we keep them."""

import re
import unicodedata
from urllib.parse import quote, unquote_to_bytes

from rag_common.errors import PermanentError

MAX_FILE_NAME = 255
"""Characters, not bytes: what common file systems allow."""

_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_EXTENDED = re.compile(r";\s*filename\*\s*=\s*([A-Za-z0-9!#$%&+^_`{}~-]+)'[^']*'([^;\s]*)", re.I)
_SEPARATORS = re.compile(r"[/\\]")


class BadFileName(PermanentError):
    """The name of an uploaded file cannot be kept; the message says why."""

    code = "invalid_file_name"


def clean_file_name(name: str) -> str:
    """The base name in Unicode's composed form: a path before it is dropped, whatever its slashes.

    :raises BadFileName: nothing is left, it holds control characters, or it is longer than 255.
    """
    base = _SEPARATORS.split(unicodedata.normalize("NFC", name))[-1].strip(" ")
    if base in ("", ".", ".."):
        raise BadFileName("a file needs a name")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in base):
        raise BadFileName("a file name must not contain control characters")
    if len(base) > MAX_FILE_NAME:
        raise BadFileName(f"a file name has at most {MAX_FILE_NAME} characters; this one has {len(base)}")
    return base


def extended_file_name(disposition: str) -> str | None:
    """The parameter ``filename*`` (RFC 5987) of a Content-Disposition header, decoded.

    :raises BadFileName: it is there, and not in a charset that we know.
    """
    match = _EXTENDED.search(_QUOTED.sub('""', disposition))
    if match is None:
        return None
    try:
        return unquote_to_bytes(match[2]).decode(match[1])
    except (LookupError, UnicodeDecodeError) as error:
        raise BadFileName(f"filename* is not text in {match[1]}") from error


def attachment(file_name: str) -> str:
    """A Content-Disposition header (RFC 6266) that any client can read."""
    ascii_name = file_name.encode("ascii", "replace").decode()
    fallback = re.sub(r"[^\w .()+,=@~#!&-]", "_", ascii_name)
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(file_name, safe='')}"
