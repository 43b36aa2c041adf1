"""Mends DOCX files before ``kreuzberg`` 4.10.4 reads them.

That release drops every character reference (``R&amp;D`` becomes ``RD``) and every tab of a DOCX
(the references: issue 1242 of its repository). So references and tabs are replaced, in a copy,
by characters that it keeps; ``restore_characters`` turns the private ones back afterwards.
"""

import errno
import re
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from rag_common.errors import BadDocument
from rag_ingest.domain.formats import unsupported

MAX_UNPACKED = 256 * 1024**2
"""Bytes of XML in one file: the text of 20 books, or an archive that was made to burst."""
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
_PARTS = re.compile(r"word/(?:document\d*|footnotes|endnotes|comments)\.xml|docProps/core\.xml")
_OTHER_ARCHIVES = (
    ("xl/", "an Excel workbook"),
    ("ppt/", "a PowerPoint presentation"),
    ("META-INF/container.xml", "an EPUB book"),
    ("content.xml", "an OpenDocument file"),
)


def write_readable_copy(path: Path, target: BinaryIO) -> None:
    """Copy a DOCX so that its text survives the reading.

    :raises BadDocument: ``damaged_file``, ``password_protected``, ``too_much_text``, or
        ``unsupported_format`` for another kind of archive.
    :raises OSError: the system does not let it be opened.
    """
    try:
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as copy:
            names = source.namelist()
            if not any(name.startswith("word/document") for name in names):
                raise unsupported(_kind_of_archive(names))
            # Pictures and embedded files hold no text that is read here.
            parts = [
                source.getinfo(name) for name in dict.fromkeys(names) if name.endswith((".xml", ".rels"))
            ]
            # zipfile yields no more bytes of a part than it declares.
            if sum(part.file_size for part in parts) > MAX_UNPACKED:
                raise _too_large()
            for part in parts:
                content = source.read(part)
                copy.writestr(part.filename, _mend(content) if _PARTS.fullmatch(part.filename) else content)
    except OSError as error:
        # A directory that points outside the file; whatever else fails is not the file's fault.
        if error.errno != errno.EINVAL:
            raise
        raise _damaged() from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise _damaged() from error
    except RuntimeError as error:
        # zipfile has no narrower error for an encrypted member.
        raise BadDocument(
            "The archive is protected by a password. Remove the password and send it again.",
            code="password_protected",
        ) from error


def _damaged() -> BadDocument:
    return BadDocument(
        "The DOCX is damaged or incomplete and cannot be opened. Check that it opens and send it again.",
        code="damaged_file",
    )


def _too_large() -> BadDocument:
    return BadDocument(
        f"The DOCX holds more than {MAX_UNPACKED // 1024**2} MiB when it is unpacked."
        " Split it into several files.",
        code="too_much_text",
    )


def restore_characters(text: str) -> str:
    """The text with ``&``, ``<`` and ``>`` where the copy had stand-ins."""
    return text.translate(_RESTORE)


def _mend(xml: bytes) -> bytes:
    xml = _TAB.sub(_TAB_AS_TEXT, _TAB_STOPS.sub(b"", xml))
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


def _kind_of_archive(names: list[str]) -> str:
    for marker, kind in _OTHER_ARCHIVES:
        if any(name.startswith(marker) for name in names):
            return kind
    return "a ZIP archive"
