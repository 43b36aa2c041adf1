"""What routes are given: the caller, and the gateway's parts."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol
from uuid import UUID

from fastapi import Depends, Path, Request
from fastapi.security import HTTPBearer

from rag_common.contracts import CollectionName, DocumentEvent
from rag_common.objects import StoredObject
from rag_common.registry import Registry, UnknownCollection
from rag_gateway.domain.accepting import AcceptDocuments
from rag_gateway.domain.answers import Answers
from rag_gateway.domain.recording import Recorder
from rag_gateway.domain.searching import Searches
from rag_gateway.identity import Caller
from rag_gateway.metrics import GatewayMetrics
from rag_gateway.settings import GatewaySettings


class Objects(Protocol):
    """The bucket of uploaded bytes."""

    async def put(
        self, name: str, chunks: AsyncIterator[bytes], *, limit: int | None = None
    ) -> StoredObject: ...

    async def info(self, name: str) -> StoredObject: ...

    def stream(self, name: str) -> AsyncGenerator[bytes, None]: ...


class Changes(Protocol):
    """Queues of what follows a change of a document."""

    async def update(self, tenant: str, document_id: str) -> None: ...

    async def purge_deleted(self, tenant: str, document_id: str) -> None: ...

    async def hint(self, event: DocumentEvent) -> None: ...


class Feed(Protocol):
    """Hints that something has happened to a document."""

    def listen(self, document_id: str) -> AbstractAsyncContextManager[asyncio.Event]: ...


class Embeddings(Protocol):
    """Vectors of texts."""

    async def __call__(
        self, space: str, texts: Sequence[str], side: Literal["question", "passage"]
    ) -> list[bytes]: ...


@dataclass(frozen=True)
class Gateway:
    """The parts that the routes work with; wired in ``app.py``."""

    settings: GatewaySettings
    registry: Registry
    objects: Objects
    accept: AcceptDocuments
    changes: Changes
    searches: Searches
    answers: Answers
    recorder: Recorder
    embeddings: Embeddings
    feed: Feed
    metrics: GatewayMetrics
    stopping: asyncio.Event
    """Set when the service drains: answers without an end have to end."""
    uploads: asyncio.Semaphore
    event_streams: asyncio.Semaphore

    async def require_collections(self, tenant: str, names: tuple[str, ...]) -> None:
        """:raises UnknownCollection: one of them does not exist."""
        known = await self.registry.collections.ids(tenant, names) if names else {}
        for name in names:
            if name not in known:
                raise UnknownCollection(name)


async def _gateway(request: Request) -> Gateway:
    return request.app.state.gateway  # type: ignore[no-any-return]  # the state of an app is untyped


_bearer = HTTPBearer(auto_error=False, description="An API key; `ragp key show` prints the first one.")


async def _caller(request: Request, _: Annotated[object, Depends(_bearer)]) -> Caller:
    return request.state.caller  # type: ignore[no-any-return]  # set by RequireKey before any route


CallerDep = Annotated[Caller, Depends(_caller)]
GatewayDep = Annotated[Gateway, Depends(_gateway)]
DocumentId = Annotated[UUID, Path(description="Id of the document, a UUID.")]
CollectionPath = Annotated[CollectionName, Path(description="Name of the collection.")]
