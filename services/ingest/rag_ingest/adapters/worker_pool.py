"""Keeps worker processes: started when needed, killed when they misbehave, stopped when idle."""

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_common.errors import BadDocument
from rag_ingest.adapters.worker import LENGTH, OUT_OF_MEMORY, Extracted, Refused, Request
from rag_ingest.domain.documents import Heading, Page, ParsedDocument
from rag_ingest.domain.formats import MEDIA_TYPES, Format

DEFAULT_COMMAND = (sys.executable, "-I", "-m", "rag_ingest.adapters.worker")
FILES_PER_PROCESS = 500
"""A process is replaced after so many files, so that a leak of a native library stays small."""
_KILL_GRACE = 2.0
"""Seconds that the kernel's own alarm gets before the process is killed from here."""
_STDERR_TAIL = 4096
_LARGE = 256 * 1024
"""Answers above this many bytes are decoded in a thread, off the event loop."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. Memory is the address space of the whole process."""

    memory_bytes: int = 1024**3
    cpu_seconds: int = 60
    wall_seconds: int = 120


class _Worker:
    """One slot of the pool: at most one process, restarted when it is gone."""

    def __init__(self, command: Sequence[str], limits: Limits, idle_seconds: float) -> None:
        self._command = command
        self._limits = limits
        self._idle_seconds = idle_seconds
        self._process: Process | None = None
        self._stderr: asyncio.Task[bytes] | None = None
        self._retirement: asyncio.TimerHandle | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._files = 0

    async def ask(self, path: Path, kind: Format) -> bytes:
        """The answer's JSON.

        :raises BadDocument: the process died over the file; the next file gets a new one.
        """
        if self._retirement is not None:
            self._retirement.cancel()
        if self._farewell is not None:
            await self._farewell
        request = Request(
            path=str(path),
            format=kind,
            cpu_seconds=self._limits.cpu_seconds,
            wall_seconds=self._limits.wall_seconds,
        )
        try:
            process = await self._running()
            async with asyncio.timeout(self._limits.wall_seconds + _KILL_GRACE):
                answer = await _exchange(process, request)
        except TimeoutError as error:
            await self.stop()
            raise _timeout() from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise await self._post_mortem() from error
        except BaseException:
            # A cancelled exchange would leave its answer to the next file.
            await asyncio.shield(self.stop())
            raise
        await self._rest()
        return answer

    async def stop(self) -> None:
        """Kill the process, if there is one, and wait for its end."""
        process, self._process = self._process, None
        if self._retirement is not None:
            self._retirement.cancel()
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
        if self._stderr is not None:
            await self._stderr

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            # The environment is not handed on: it holds passwords, and the file may be hostile.
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                str(self._limits.memory_bytes),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env={"MALLOC_ARENA_MAX": "2", "TMPDIR": tempfile.gettempdir(), "LANG": "C.UTF-8"},
            )
            self._stderr = asyncio.create_task(_tail(self._process.stderr))
            self._files = 0
        return self._process

    async def _rest(self) -> None:
        self._files += 1
        if self._files >= FILES_PER_PROCESS:
            await self.stop()
        else:
            loop = asyncio.get_running_loop()
            self._retirement = loop.call_later(self._idle_seconds, self._retire)

    def _retire(self) -> None:
        self._farewell = asyncio.get_running_loop().create_task(self.stop())

    async def _post_mortem(self) -> BadDocument:
        process = self._process
        if process is None:
            return _crash("")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILL_GRACE):
                await process.wait()
        code = process.returncode
        await self.stop()
        noise = self._stderr.result().decode(errors="replace") if self._stderr is not None else ""
        if code in (-signal.SIGALRM, -signal.SIGXCPU):
            return _timeout()
        # The allocator of a native library aborts with this message; SIGKILL is the system's own refusal.
        if code in (OUT_OF_MEMORY, -signal.SIGKILL) or "memory allocation of" in noise:
            return _out_of_memory()
        return _crash(noise)


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
        self._workers = [_Worker(command, limits or Limits(), idle_seconds) for _ in range(size)]
        # Last in, first out: one process stays warm while the others may retire.
        self._free: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        for worker in self._workers:
            self._free.put_nowait(worker)

    async def parse(self, path: Path, kind: Format) -> ParsedDocument:
        """:raises BadDocument: it cannot be read, or the process died or took too long over it."""
        worker = await self._free.get()
        try:
            answer = await worker.ask(path, kind)
        finally:
            self._free.put_nowait(worker)
        if len(answer) > _LARGE:
            return await asyncio.to_thread(_parsed, answer, kind)
        return _parsed(answer, kind)

    async def close(self) -> None:
        """Kill every process. Running calls of :meth:`parse` fail."""
        for worker in self._workers:
            await worker.stop()


async def _exchange(process: Process, request: Request) -> bytes:
    assert process.stdin is not None  # noqa: S101 - the process was created with pipes
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(json.dumps(request).encode() + b"\n")
    await process.stdin.drain()
    (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    return await process.stdout.readexactly(length)


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    kept = b""
    while stream is not None and (data := await stream.read(_STDERR_TAIL)):
        kept = (kept + data)[-_STDERR_TAIL:]
    return kept


def _parsed(answer: bytes, kind: Format) -> ParsedDocument:
    decoded = json.loads(answer)
    if "code" in decoded:
        refused: Refused = decoded
        raise BadDocument(refused["message"], code=refused["code"])
    found: Extracted = decoded
    return ParsedDocument(
        text=found["text"],
        media_type=MEDIA_TYPES[kind],
        pages=tuple(Page(*page) for page in found["pages"]),
        headings=tuple(Heading(*heading) for heading in found["headings"]),
        title=found["title"],
        warnings=tuple(found["warnings"]),
    )


def _timeout() -> BadDocument:
    return BadDocument(
        "Reading the file took too long and was stopped. Split it, or simplify its pages.",
        code="parse_timeout",
    )


def _out_of_memory() -> BadDocument:
    return BadDocument(
        "Reading the file took too much memory and was stopped. Split it into smaller files.",
        code="parse_memory",
    )


def _crash(noise: str) -> BadDocument:
    lines = noise.strip().splitlines()
    reason = f" ({lines[-1][:200]})" if lines else ""
    return BadDocument(f"The parser crashed while it read the file{reason}.", code="parser_crashed")
