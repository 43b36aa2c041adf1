"""Accepting an upload: bytes are stored, then a row is committed, then a job is published.

A crash between these steps is mended by the reconciler; a refusal takes everything back.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Protocol

import structlog
from pydantic import JsonValue

from rag_common.contracts import DocumentRef, DocumentState
from rag_common.errors import Overloaded, PermanentError, TransientError
from rag_gateway.domain.queueing import queue_all

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Bytes in the object store under ``upload_id``; ``sha256`` in hexadecimal."""

    upload_id: str
    size: int
    sha256: str
    file_name: str | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    """What a client says about its files; ``None`` keeps what a known document has."""

    collection: str
    source_uri: str | None = None
    title: str | None = None
    metadata: dict[str, JsonValue] | None = None
    acl: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """One file as a document of the collection ``fields.collection``."""

    file: StoredFile
    fields: Fields
    source_uri: str


@dataclass(frozen=True, slots=True)
class RequestKey:
    """An Idempotency-Key with what it stands for."""

    caller: str
    key: str
    request_hash: str


class Decision(Protocol):
    """What the registry has decided about one offer."""

    @property
    def outcome(self) -> str: ...
    @property
    def document(self) -> DocumentRef: ...
    @property
    def state(self) -> DocumentState: ...
    @property
    def collection(self) -> str: ...
    @property
    def source_uri(self) -> str: ...
    @property
    def upload_id(self) -> str | None: ...
    @property
    def reindex(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Decisions:
    """In the order of the offers; ``replayed``: they are those of an earlier request."""

    items: Sequence[Decision]
    replayed: bool = False


class Registry(Protocol):
    """Where documents are decided about; all offers of a request in one transaction."""

    async def accept(self, tenant: str, offers: Sequence[Offer], key: RequestKey | None) -> Decisions: ...

    async def reject(self, tenant: str, documents: Sequence[DocumentRef], key: RequestKey | None) -> None: ...

    async def inside(self, tenant: str, document_id: str) -> Sequence[str]: ...


class Objects(Protocol):
    """The bucket of uploaded bytes."""

    async def delete(self, name: str) -> None: ...


class Jobs(Protocol):
    """The queues behind the gateway."""

    async def ingest(self, decision: Decision, file: StoredFile) -> None: ...

    async def update(self, tenant: str, document_id: str) -> None: ...

    async def announce(self, decision: Decision) -> None: ...


class AcceptDocuments:
    """The use case behind ``POST /v1/documents``."""

    def __init__(self, registry: Registry, objects: Objects, jobs: Jobs) -> None:
        self._registry = registry
        self._objects = objects
        self._jobs = jobs

    async def __call__(self, tenant: str, offers: Sequence[Offer], key: RequestKey | None) -> Decisions:
        """Accept stored files, or none of them.

        Whatever object turns out not to be needed is removed.

        :raises PermanentError: the collection is not known, or the key was used for another request.
        :raises TransientError: a queue is full or a dependency is down; the same request may succeed later.
        """
        try:
            decisions = await self._registry.accept(tenant, offers, key)
        except PermanentError:
            await self.discard([offer.file for offer in offers])
            raise
        # on a TransientError the commit may have happened: the sweep removes what is an orphan then
        needed = set() if decisions.replayed else {item.upload_id for item in decisions.items}
        await self.discard([offer.file for offer in offers if offer.file.upload_id not in needed])
        if not decisions.replayed:
            await self._publish(tenant, offers, decisions.items, key)
        return decisions

    async def discard(self, files: Sequence[StoredFile]) -> None:
        """Remove objects that no document needs; what cannot be removed now is left to the sweep."""
        for file in files:
            try:
                await asyncio.shield(self._objects.delete(file.upload_id))
            except TransientError as error:
                _log.warning("object_left_behind", upload_id=file.upload_id, reason=error.message)

    async def _publish(
        self, tenant: str, offers: Sequence[Offer], decisions: Sequence[Decision], key: RequestKey | None
    ) -> None:
        for position, (offer, decision) in enumerate(zip(offers, decisions, strict=True)):
            if decision.outcome == "accepted":
                try:
                    await self._jobs.ingest(decision, offer.file)
                except TransientError as error:
                    await self._take_back(tenant, offers[position:], decisions[position:], key, error)
                    raise
            await self._follow_up(tenant, decision)

    async def _follow_up(self, tenant: str, decision: Decision) -> None:
        if decision.reindex:
            name = decision.document.document_id
            try:
                # what an archive or a mail holds has changed with it
                concerned = [name, *await self._registry.inside(tenant, name)]
                await queue_all(partial(self._jobs.update, tenant), concerned)
            except TransientError as error:
                # the documents say acl_pending, and the reconciler publishes it again
                _log.warning("update_not_queued", document_id=name, why=error.message)
        await self._jobs.announce(decision)

    async def _take_back(
        self,
        tenant: str,
        offers: Sequence[Offer],
        decisions: Sequence[Decision],
        key: RequestKey | None,
        error: TransientError,
    ) -> None:
        """Reject what was not queued. Files before it are on their way; sent again they are unchanged."""
        refused = [
            (offer.file, decision.document)
            for offer, decision in zip(offers, decisions, strict=True)
            if decision.outcome == "accepted"
        ]
        await asyncio.shield(self._registry.reject(tenant, [document for _, document in refused], key))
        if isinstance(error, Overloaded):
            # only then is it certain that no job with these bytes was stored
            await self.discard([file for file, _ in refused])


def offers_of(files: Sequence[StoredFile], fields: Fields) -> list[Offer]:
    """Each file as a document; without a ``source_uri`` its name is its identity, or its content.

    :raises PermanentError: several files that cannot share what the fields say of one.
    """
    if len(files) > 1 and (fields.source_uri is not None or fields.title is not None):
        raise PermanentError(
            "source_uri and title are of one document: leave them out, or upload one file at a time",
            code="fields_of_one_file",
        )
    offers = [Offer(file, fields, fields.source_uri or _default_source(file)) for file in files]
    if len({offer.source_uri for offer in offers}) < len(offers):
        raise PermanentError("two files of this upload have the same name", code="duplicate_file_name")
    return offers


def request_key(caller: str, key: str, offers: Sequence[Offer]) -> RequestKey:
    """The key with the hash of the request: contents, their media types and fields, in the files' order."""
    request = [
        [
            offer.source_uri,
            offer.file.sha256,
            offer.file.file_name,
            offer.file.media_type,
            asdict(offer.fields),
        ]
        for offer in offers
    ]
    canonical = json.dumps(request, sort_keys=True, ensure_ascii=False)
    return RequestKey(caller, key, hashlib.sha256(canonical.encode()).hexdigest())


def _default_source(file: StoredFile) -> str:
    return f"upload:/{file.file_name}" if file.file_name else f"text:/{file.sha256[:32]}"
