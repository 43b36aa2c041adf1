"""Opaque cursors: where a page ended, in a form that clients only hand back."""

import base64
import binascii
import json
import uuid
from datetime import datetime

from rag_common.errors import PermanentError


class BadCursor(PermanentError):
    """The cursor was not made by this API."""

    code = "invalid_cursor"

    def __init__(self) -> None:
        super().__init__("the cursor is not one that an earlier page has returned")


def encode_position(created_at: datetime, document_id: str) -> str:
    """The place after one document in a list."""
    return _encode([created_at.isoformat(), document_id])


def decode_position(cursor: str) -> tuple[datetime, str]:
    """:raises BadCursor: not from :func:`encode_position`."""
    match _decode(cursor):
        case [str(created), str(document_id)]:
            try:
                position = datetime.fromisoformat(created), str(uuid.UUID(document_id))
            except ValueError as error:
                raise BadCursor from error
            if position[0].tzinfo is None:
                raise BadCursor
            return position
        case _:
            raise BadCursor


def encode_name(name: str) -> str:
    """The place after one collection."""
    return _encode(name)


def decode_name(cursor: str) -> str:
    """:raises BadCursor: not from :func:`encode_name`."""
    match _decode(cursor):
        case str(name) if "\x00" not in name:
            return name
        case _:
            raise BadCursor


def encode_number(number: int) -> str:
    """The place after one chunk."""
    return _encode(number)


def decode_number(cursor: str) -> int:
    """:raises BadCursor: not from :func:`encode_number`."""
    match _decode(cursor):
        case int(number) if 0 <= number < 2**31 and not isinstance(number, bool):
            return number
        case _:
            raise BadCursor


def _encode(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _decode(cursor: str) -> object:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, RecursionError) as error:
        raise BadCursor from error
