"""What the use case needs from the world outside."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from rag_common.contracts import (
    CollectionSettings,
    DocumentRef,
    DocumentState,
    IngestDocument,
    Lane,
    Message,
)
from rag_common.spaces import Space
from rag_ingest.domain.documents import Chunk, ParsedDocument
from rag_ingest.domain.members import Member


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of one job; tenant and lane are those of its subject, never of its body.

    ``time_ns`` and ``sequence`` are the stream's and order the drops. ``claim`` names the document
    that a failure of this job is a failure of; ``None``: of no document.
    """

    tenant: str
    lane: Lane
    time_ns: int
    sequence: int
    attempt: int
    claim: Callable[[DocumentRef | None], None]


@dataclass(frozen=True, slots=True)
class Content:
    """A document's bytes in a file of ours, with their size and SHA-256 in hexadecimal."""

    path: Path
    size: int
    sha256: str


class Contents(Protocol):
    """Where bytes come from and are kept. Files exist only within their context."""

    def inline(self, data: bytes) -> AbstractAsyncContextManager[Content]:
        """Bytes that came in the message."""

    def accepted(self, upload_id: str) -> AbstractAsyncContextManager[Path]:
        """:raises PermanentError: ``object_missing``."""

    def dropped(self, tenant: str, name: str) -> AbstractAsyncContextManager[Content]:
        """:raises PermanentError: ``object_missing`` or ``too_large``."""

    async def keep(self, content: Content, upload_id: str) -> None:
        """Store the bytes for good; again under the same id overwrites them."""

    async def discard(self, tenant: str, name: str) -> None:
        """Remove a dropped object, if it is still there."""

    def unpacking(self) -> AbstractAsyncContextManager[Path]:
        """A directory for files of the job's own, which does not exist yet."""


class Generation(Protocol):
    """One generation of a document, as the registry knows it."""

    @property
    def document(self) -> DocumentRef: ...
    @property
    def collection(self) -> str: ...
    @property
    def source_uri(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def state(self) -> DocumentState: ...
    @property
    def current(self) -> bool: ...
    @property
    def upload_id(self) -> str: ...
    @property
    def media_type(self) -> str | None: ...
    @property
    def file_name(self) -> str | None: ...
    @property
    def parent_id(self) -> str | None: ...
    @property
    def has_members(self) -> bool: ...
    @property
    def settings(self) -> CollectionSettings: ...


class Nesting(Protocol):
    """How deep a document lies in others, and what else the outermost one holds."""

    @property
    def depth(self) -> int: ...
    @property
    def documents(self) -> int: ...
    @property
    def size(self) -> int: ...


class Decision(Protocol):
    """The registry's answer to a drop."""

    @property
    def outcome(self) -> Literal["accepted", "unchanged", "updated", "resumed", "superseded"]: ...
    @property
    def document(self) -> DocumentRef: ...
    @property
    def upload_id(self) -> str | None: ...
    @property
    def reindex(self) -> bool: ...


class StoredChunk(Protocol):
    """A chunk as it was committed."""

    @property
    def no(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def in_context(self) -> str:
        """The text that is encoded."""


class Registry(Protocol):
    """The ingest stage's side of the document registry. Every change is a compare-and-set."""

    async def drop(
        self, message: IngestDocument, content: Content, upload_id: str, delivery: Delivery
    ) -> Decision:
        """:raises PermanentError: ``unknown_collection``."""

    async def generation(self, document: DocumentRef) -> Generation | None:
        """``None``: the tenant has no such generation."""

    async def dropped_by(self, delivery: Delivery) -> Generation | None:
        """The generation that an earlier delivery of the same drop has made."""

    async def reached(self, message: IngestDocument, delivery: Delivery) -> bool:
        """Whether the document has taken this drop in, or was changed or deleted later."""

    async def begin(self, document: DocumentRef, attempt: int) -> bool:
        """accepted → parsing."""

    async def supersede(self, document: DocumentRef) -> bool:
        """→ superseded."""

    async def commit_chunks(
        self,
        document: DocumentRef,
        parsed: ParsedDocument,
        chunks: Sequence[Chunk],
        batches: Sequence[int],
        fingerprint: str,
        default_title: str | None,
    ) -> bool:
        """All chunks, each with the number of its batch, and parsing → embedding, or nothing.

        The title that was found takes the place of ``default_title``, if the document still has that.
        """

    async def fail(self, document: DocumentRef, code: str, message: str, attempt: int) -> bool:
        """→ failed. ``False``: it was finished already."""

    async def accept_member(
        self, container: Generation, member: Member, upload_id: str, delivery: Delivery
    ) -> Decision | None:
        """Register what is inside a container. ``None``: that is not wanted any more.

        :raises PermanentError: ``source_taken``, another document has this member's name.
        """

    async def retire_members(self, container: DocumentRef, kept: Sequence[str]) -> Sequence[str]:
        """Tombstone the members that are not ``kept``, with what is inside them; their ids."""

    async def inside(self, document: DocumentRef) -> Sequence[str]:
        """Ids of the documents inside it."""

    async def nesting(self, document: DocumentRef) -> Nesting:
        """Where the document stands among others."""

    async def chunks(self, document: DocumentRef) -> Sequence[StoredChunk]:
        """The committed chunks, in order."""

    async def active_space(self) -> Space:
        """The embedding space that new documents go to."""


class Messages(Protocol):
    """The way out."""

    async def publish(self, message: Message, *, msg_id: str, **tokens: str) -> None:
        """Returns when the message is stored."""

    async def hint(self, message: Message, **tokens: str) -> None:
        """Best effort."""
