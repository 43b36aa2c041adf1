"""Mends DOCX files before ``kreuzberg`` 4.10.4 reads them.

That release drops every character reference (``R&amp;D`` becomes ``RD``) and every tab of a DOCX
(the references: issue 1242 of its repository). So references and tabs are replaced, in a copy,
by characters that it keeps; ``restore_characters`` turns the private ones back afterwards.
"""

import re
import zipfile
from pathlib import Path
from typing import BinaryIO

from rag_ingest.adapters.readers.packages import check_size, opened

_PRIVATE = {"&": "\U0010fdd0", "<": "\U0010fdd1", ">": "\U0010fdd2"}
"""Stand-ins from the last private use plane, which no document is expected to use."""
_RESTORE = str.maketrans({private: character for character, private in _PRIVATE.items()})
_NAMED = {b"amp": "&", b"lt": "<", b"gt": ">", b"quot": '"', b"apos": "'"}
_REFERENCE = re.compile(rb"&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6}));")
# A reference in an attribute must stay one: only text between tags is rewritten.
_TEXT = re.compile(rb">[^<&]*&[^<]*<")
_TAB = re.compile(rb"<w:tab\s*/>")
_TAB_AS_TEXT = b'<w:t xml:space="preserve">\t</w:t>'
_TAB_STOPS = re.compile(rb"<w:tabs>.*?</w:tabs>", re.DOTALL)
# Written into the text as [^2]; the notes themselves come at its end.
_NOTE_MARK = re.compile(rb"<w:(?:foot|end)noteReference\b[^>]*/>")
_PARTS = re.compile(r"word/(?:document\d*|footnotes|endnotes|comments)\.xml|docProps/core\.xml")


def write_readable_copy(path: Path, target: BinaryIO) -> None:
    """Copy a DOCX so that its text survives the reading.

    :raises BadDocument: ``damaged_file``, ``password_protected`` or ``too_much_text``.
    :raises OSError: the system does not let it be opened.
    """
    with opened(path, "docx") as source, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as copy:
        # Pictures and embedded files hold no text that is read here.
        names = [name for name in dict.fromkeys(source.namelist()) if name.endswith((".xml", ".rels"))]
        parts = [source.getinfo(name) for name in names]
        check_size(source, parts, "docx")
        for part in parts:
            content = source.read(part)
            copy.writestr(part.filename, _mend(content) if _PARTS.fullmatch(part.filename) else content)


def restore_characters(text: str) -> str:
    """The text with ``&``, ``<`` and ``>`` where the copy had stand-ins."""
    return text.translate(_RESTORE)


def _mend(xml: bytes) -> bytes:
    xml = _NOTE_MARK.sub(b"", _TAB.sub(_TAB_AS_TEXT, _TAB_STOPS.sub(b"", xml)))
    return _TEXT.sub(lambda match: _REFERENCE.sub(_character, match.group()), xml)


def _character(match: re.Match[bytes]) -> bytes:
    named, decimal, hexadecimal = match.groups()
    if named:
        character = _NAMED[named]
    else:
        code = int(decimal) if decimal else int(hexadecimal, 16)
        if code < 32 or code > 0x10FFFF or 0xD800 <= code < 0xE000:
            return b" "
        character = chr(code)
    return _PRIVATE.get(character, character).encode()
