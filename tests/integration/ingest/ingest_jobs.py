"""The use case without its service: jobs are given by hand, and what it publishes is looked at."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from rag_common.contracts import DocumentEvent, DocumentRef, EmbedChunks, Message
from rag_common.errors import TransientError
from rag_ingest.adapters.registry import IngestRegistry
from rag_ingest.domain.ingest import Ingest
from rag_ingest.domain.ports import Delivery


class Queue:
    """Keeps what is published; refuses while it is ``closed``."""

    def __init__(self) -> None:
        self.published: list[Message] = []
        self.ids: list[str] = []
        self.outcomes: list[str] = []
        self.closed = False

    async def publish(self, message: Message, *, msg_id: str, **tokens: str) -> None:
        if self.closed:
            raise TransientError("closed")
        self.published.append(message)
        self.ids.append(msg_id)

    async def hint(self, message: Message, **tokens: str) -> None:
        if isinstance(message, DocumentEvent):
            self.outcomes.append(message.outcome)

    def texts(self) -> list[list[str]]:
        return [
            [chunk.text for chunk in message.chunks]
            for message in self.published
            if isinstance(message, EmbedChunks)
        ]


class MakeIngest(Protocol):
    """Puts the use case together; ``wrap`` stands between it and the world outside."""

    def __call__(self, seen: IngestRegistry, wrap: Callable[[Any], Any] = ...) -> Ingest: ...


StartProcess = Callable[[Path], Awaitable[asyncio.subprocess.Process]]
"""Starts the service as a process whose files are in a directory."""


class Claims(list[DocumentRef | None]):
    def last(self) -> DocumentRef:
        document = self[-1]
        assert document is not None
        return document


def again(delivery: Delivery) -> Delivery:
    return dataclasses.replace(delivery, attempt=delivery.attempt + 1)


def later(delivery: Delivery, nanoseconds: int = 1000) -> Delivery:
    return dataclasses.replace(
        delivery, time_ns=delivery.time_ns + nanoseconds, sequence=delivery.sequence + 1, attempt=1
    )
