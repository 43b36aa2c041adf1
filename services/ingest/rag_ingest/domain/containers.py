"""What is inside a document becomes documents of its own: registered, kept and read by the container's job.

A job publishes nothing into the stream that it drains, so it does this work itself. Whatever kills it, its
redelivery registers the same members again, which changes nothing, and goes on with those that are not
finished; a member whose container's job is no more is found by the reconciler, with its bytes in place.
"""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rag_common.contracts import PurgeDocument
from rag_common.errors import PermanentError
from rag_ingest.domain.announcing import Announcer
from rag_ingest.domain.members import MAX_DEPTH, Member, Room, member_source, shortened
from rag_ingest.domain.ports import Content, Contents, Delivery, Generation, Messages, Registry

UPLOADS_OF_MEMBERS = uuid.UUID("0f2d2a54-9c1b-4a34-8c0e-5b7d0f3b6a21")
"""Namespace of the upload ids that are made from a member's name and its container's generation."""

Resume = Callable[[Generation, Delivery, Path], Awaitable[None]]
"""Goes on where a generation stands, with its bytes at hand."""


@dataclass(frozen=True, slots=True)
class MemberLimits:
    """What an archive or a mail may hold, with the archives and mails inside it."""

    members: int
    size: int
    """Bytes, unpacked."""


class Containers:
    """Gives documents room for what is inside them, and takes it in."""

    def __init__(
        self, registry: Registry, contents: Contents, messages: Messages, limits: MemberLimits
    ) -> None:
        self._registry = registry
        self._contents = contents
        self._messages = messages
        self._limits = limits
        self._announcer = Announcer(messages)

    @asynccontextmanager
    async def room(self, generation: Generation) -> AsyncIterator[Room | None]:
        """Room for the members, for as long as the context lasts; ``None`` too deep inside others.

        The limits are those of the outermost container: an archive of archives may not burst either.
        """
        members, size = self._limits.members, self._limits.size
        if generation.parent_id is not None:
            nesting = await self._registry.nesting(generation.document)
            if nesting.depth >= MAX_DEPTH:
                yield None
                return
            members, size = members - nesting.documents, size - nesting.size
        async with self._contents.unpacking() as directory:
            yield Room(directory, max(members, 0), max(size, 0))

    async def take_in(
        self, container: Generation, members: Sequence[Member], delivery: Delivery, resume: Resume
    ) -> list[str]:
        """Register the members, delete those that are gone, then read one after the other.

        Stops early when the container is overtaken: what was registered is left to its successor.
        Returns warnings about members that are no documents.
        """
        kept: list[str] = []
        taken: list[str] = []
        unfinished: list[tuple[Generation, Path]] = []
        for member in members:
            try:
                inner = await self._register(container, member, delivery)
            except PermanentError as error:
                if error.code != "source_taken":
                    raise
                taken.append(member_source(container.source_uri, member.name))
                continue
            if inner is None:
                return _warnings(taken)
            document, generation = inner
            kept.append(document)
            if generation is not None:
                unfinished.append((generation, member.path))
        await self._retire(container, kept, delivery)
        for generation, path in unfinished:
            try:
                await resume(generation, delivery, path)
            except PermanentError as error:
                await self._fail(generation, error, delivery)
            path.unlink(missing_ok=True)
        return _warnings(taken)

    async def _register(
        self, container: Generation, member: Member, delivery: Delivery
    ) -> tuple[str, Generation | None] | None:
        """The member's document, and its generation if this job has to go on with it.

        ``None``: the container is overtaken.
        """
        upload_id = _upload_id(container, member)
        decision = await self._registry.accept_member(container, member, upload_id, delivery)
        if decision is None:
            return None
        document = decision.document
        generation = await self._registry.generation(document)
        if decision.outcome == "superseded" or generation is None:
            return document.document_id, None
        own = generation.upload_id == upload_id
        if generation.state in ("accepted", "parsing"):
            # unchanged bytes of another job are read here too: that job may have been overtaken
            await self._contents.keep(Content(member.path, member.size, member.sha256), generation.upload_id)
            if decision.outcome == "accepted":
                await self._announcer.generation(generation, "accepted")
        elif not (own and generation.state == "embedding"):
            return document.document_id, None
        return document.document_id, generation

    async def _retire(self, container: Generation, kept: Sequence[str], delivery: Delivery) -> None:
        for document_id in await self._registry.retire_members(container.document, kept):
            # the reconciler purges what is not purged by this
            purge = PurgeDocument(tenant=delivery.tenant, document_id=document_id)
            await self._messages.publish(
                purge, msg_id=f"purge:{delivery.tenant}:{document_id}:{delivery.sequence}"
            )

    async def _fail(self, generation: Generation, error: PermanentError, delivery: Delivery) -> None:
        """The member alone: there is no job of its own that could be dead-lettered."""
        if await self._registry.fail(generation.document, error.code, error.message, delivery.attempt):
            await self._announcer.generation(generation, "failed", error)


def _warnings(taken: list[str]) -> list[str]:
    warnings: list[str] = []
    if taken:
        names = shortened(taken)
        warnings.append(
            f"{names}: not read, other documents have these names;"
            " delete them and this one, and send it again."
        )
    return warnings


def _upload_id(container: Generation, member: Member) -> str:
    """The same whenever this generation of the container is unpacked."""
    document = container.document
    key = [document.tenant, document.document_id, document.generation, member.name]
    return str(uuid.uuid5(UPLOADS_OF_MEMBERS, json.dumps(key)))
