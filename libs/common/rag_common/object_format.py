"""The wire format of NATS' object store (ADR-20): subjects and metadata."""

import base64
import json
from datetime import UTC, datetime

from pydantic import BaseModel, Field

CHUNK_BYTES = 128 * 1024
"""What the client libraries use as well."""
_DIGEST = "SHA-256="


class ObjectMeta(BaseModel):
    """The part of an object's metadata that is used here. ``nuid`` names its chunks."""

    nuid: str = Field(pattern=r"^\w+$")
    size: int = Field(ge=0)
    chunks: int = Field(ge=0)
    digest: str = ""
    deleted: bool = False

    @classmethod
    def of(cls, nuid: str, *, size: int, chunks: int, sha256: bytes) -> "ObjectMeta":
        digest = _DIGEST + base64.urlsafe_b64encode(sha256).decode()
        return cls(nuid=nuid, size=size, chunks=chunks, digest=digest)

    @property
    def sha256(self) -> bytes:
        return base64.urlsafe_b64decode(self.digest.removeprefix(_DIGEST))

    def encode(self, bucket: str, name: str) -> bytes:
        """The message that makes the object visible."""
        meta = {
            "name": name,
            "bucket": bucket,
            "nuid": self.nuid,
            "size": self.size,
            "chunks": self.chunks,
            "digest": self.digest,
            "mtime": datetime.now(UTC).isoformat(),
            "options": {"max_chunk_size": CHUNK_BYTES},
        }
        return json.dumps(meta).encode()


def meta_subject(bucket: str, name: str) -> str:
    """Where the metadata of an object is."""
    return f"$O.{bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


def all_meta_subjects(bucket: str) -> str:
    """Where the metadata of all objects is."""
    return f"$O.{bucket}.M.>"


def chunk_subject(bucket: str, nuid: str) -> str:
    """Where the chunks of an object are."""
    return f"$O.{bucket}.C.{nuid}"
