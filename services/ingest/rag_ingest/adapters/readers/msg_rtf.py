"""The compressed RTF in which Outlook keeps the text of many mails: [MS-OXRTFCP]."""

import struct

from rag_common.errors import BadDocument
from rag_ingest.adapters.readers import rtf

_HEADER = struct.Struct("<III4x")
_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_WINDOW = 4096
_PRELOADED = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
MAX_RTF = 64 * 1024**2
"""Bytes; a mail's text is never so long."""


def rtf_text(compressed: bytes) -> str:
    """The text of the property; empty if it is damaged."""
    try:
        return rtf.read_bytes(decompressed(compressed))["text"]
    except BadDocument:
        return ""


def decompressed(data: bytes) -> bytes:
    """What is in the property, as far as it can be had."""
    if len(data) < _HEADER.size:
        return b""
    _, raw_size, kind = _HEADER.unpack_from(data)
    if kind == _PLAIN:
        return data[_HEADER.size :][:raw_size]
    return _inflated(data[_HEADER.size :], min(raw_size, MAX_RTF)) if kind == _COMPRESSED else b""


def _inflated(data: bytes, size: int) -> bytes:
    """Section 2.2.2.2: runs of eight literals or references, a bit of a control byte for each."""
    window = bytearray(_PRELOADED.ljust(_WINDOW, b"\x00"))
    end = len(_PRELOADED)
    out = bytearray()
    position = 0
    while position < len(data) and len(out) < size:
        control = data[position]
        position += 1
        for bit in range(8):
            if not control >> bit & 1:
                piece = data[position : position + 1]
                position += 1
            else:
                (reference,) = struct.unpack(">H", data[position : position + 2].ljust(2, b"\x00"))
                position += 2
                start, length = reference >> 4, (reference & 15) + 2
                if start == end % _WINDOW:
                    return bytes(out)
                piece = b""
                for offset in range(length):
                    # a reference may read what it has just written
                    byte = window[(start + offset) % _WINDOW]
                    window[(end + offset) % _WINDOW] = byte
                    piece += bytes((byte,))
            for byte in piece:
                window[end % _WINDOW] = byte
                end += 1
            out += piece
    return bytes(out)
