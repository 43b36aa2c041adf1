"""Files through a few worker processes."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rag_common.errors import BadDocument, TransientError
from rag_ingest.adapters.extracted import Extracted, MemberRow, part_of
from rag_ingest.adapters.worker import Refused
from rag_ingest.adapters.worker_process import Limits, WorkerProcess
from rag_ingest.domain.documents import Heading, ParsedDocument
from rag_ingest.domain.formats import Format
from rag_ingest.domain.members import Member, Room

DEFAULT_COMMAND = (sys.executable, "-I", "-m", "rag_ingest.adapters.worker")
_LARGE = 256 * 1024
"""Answers above this many bytes are decoded in a thread, off the event loop."""


class WorkerPool:
    """Parses files in at most ``size`` processes at a time."""

    def __init__(
        self,
        size: int = 1,
        *,
        limits: Limits | None = None,
        idle_seconds: float = 60.0,
        command: Sequence[str] = DEFAULT_COMMAND,
    ) -> None:
        self._workers = [WorkerProcess(command, limits or Limits(), idle_seconds) for _ in range(size)]
        # Last in, first out: one process stays warm while the others may retire.
        self._free: asyncio.LifoQueue[WorkerProcess] = asyncio.LifoQueue()
        for worker in self._workers:
            self._free.put_nowait(worker)

    async def parse(self, path: Path, kind: Format, room: Room | None = None) -> ParsedDocument:
        """Read a file; what is inside an archive or a mail is unpacked into the room.

        :raises BadDocument: it cannot be read, or the process died or took too long over it.
        :raises TransientError: the system has no room for a process, or for what it does.
        """
        worker = await self._free.get()
        try:
            answer = await worker.ask(path, kind, room)
        finally:
            self._free.put_nowait(worker)
        if len(answer) > _LARGE:
            return await asyncio.to_thread(_parsed, answer, room)
        return _parsed(answer, room)

    async def close(self) -> None:
        """Kill every process. Running calls of :meth:`parse` fail."""
        for worker in self._workers:
            await worker.stop()


def _parsed(answer: bytes, room: Room | None) -> ParsedDocument:
    decoded = json.loads(answer)
    if "code" in decoded:
        refused: Refused = decoded
        raise BadDocument(refused["message"], code=refused["code"])
    if "shortage" in decoded:
        raise TransientError(f"the parser process: {decoded['shortage']}", code="no_parser")
    found: Extracted = decoded
    return ParsedDocument(
        text=found["text"],
        media_type=found["media_type"],
        parts=tuple(part_of(row) for row in found["parts"]),
        headings=tuple(Heading(*heading) for heading in found["headings"]),
        title=found["title"],
        warnings=tuple(found["warnings"]),
        members=_members(found.get("members", []), room),
    )


def _members(rows: list[MemberRow], room: Room | None) -> tuple[Member, ...]:
    if room is None:
        return ()
    return tuple(Member(room.directory / str(number), *row) for number, row in enumerate(rows))
