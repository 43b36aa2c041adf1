"""The base of every message, and the small types that several messages share."""

import base64
import binascii
import json
import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

Lane = Literal["interactive", "bulk"]
"""Interactive work (one upload) never waits behind bulk work (a drop of 100,000 files)."""

TENANT_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
COLLECTION_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
PRINCIPAL_PATTERN = r"^(\*|(user|group|role|key):[^\s*]{1,200})$"
EVERYONE = "*"
"""The principal that every caller of a tenant has."""

TenantId = Annotated[str, StringConstraints(pattern=TENANT_PATTERN)]
CollectionName = Annotated[str, StringConstraints(pattern=COLLECTION_PATTERN)]
Principal = Annotated[str, StringConstraints(pattern=PRINCIPAL_PATTERN)]
Acl = Annotated[tuple[Principal, ...], Field(min_length=1, max_length=200)]
"""Who may read a document: a caller with any one of these principals."""

MAX_METADATA_BYTES = 16 * 1024
MAX_SOURCE_URI_BYTES = 2048
"""PostgreSQL's B-tree holds entries of up to 2,704 bytes, the collection's id included."""
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""A NUL in JSON text; the six characters themselves, written with an escaped backslash, are not one."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _clean_line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters")
    return text


def _bounded_metadata(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    encoded = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    size = len(encoded.encode("utf-8", "surrogatepass"))
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"metadata is {size} bytes as JSON; at most {MAX_METADATA_BYTES} are allowed")
    if _NUL.search(encoded):
        raise ValueError("metadata must not contain NUL characters")
    return metadata


Line = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(_clean_line)]
"""One line of text without control characters, at most 2,000 characters."""


def _indexable(uri: str) -> str:
    if len(uri.encode()) > MAX_SOURCE_URI_BYTES:
        raise ValueError(f"must be at most {MAX_SOURCE_URI_BYTES} bytes in UTF-8")
    return uri


SourceUri = Annotated[Line, AfterValidator(_indexable)]
"""Identity of a document within its collection."""
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_bounded_metadata)]
"""A user's JSON object, at most 16 KiB encoded."""


class Value(BaseModel):
    """An immutable value that tolerates fields which a newer producer has added."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Message(Value):
    """What travels on a subject. ``v`` grows only when old consumers cannot read the new form."""

    subject: ClassVar[str]
    """Without the namespace; may hold ``{lane}`` and ``{tenant}`` tokens."""
    stream: ClassVar[str | None] = None
    """Name of the JetStream stream without the namespace; ``None`` for core NATS."""

    v: Literal[1] = 1

    def encode(self) -> bytes:
        """UTF-8 JSON; non-ASCII text is not escaped."""
        return self.model_dump_json().encode()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """:raises pydantic.ValidationError: not JSON, or not this message."""
        return cls.model_validate_json(body)


class Place(Value):
    """Where in a document a text stands, as its readers name it. Numbers count from 1.

    At most one of ``page``, ``slide`` and ``sheet`` is set; none where the format has none of them.
    """

    page: int | None = Field(default=None, ge=1)
    """Of a PDF and what else has pages."""
    slide: int | None = Field(default=None, ge=1)
    """Of a presentation."""
    sheet: str | None = None
    """The name of a spreadsheet's sheet."""
    rows: tuple[int, int] | None = None
    """The first and the last row, as the spreadsheet numbers them."""


NOWHERE = Place()


class DocumentRef(Value):
    """One generation of one document."""

    tenant: TenantId
    document_id: str
    generation: int = Field(ge=1)


def decode_base64(text: str) -> bytes:
    """:raises ValueError: not standard base64."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
