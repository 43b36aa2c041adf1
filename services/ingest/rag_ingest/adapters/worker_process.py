"""One worker process at a time: started when needed, killed when it misbehaves, stopped when idle."""

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_common.errors import BadDocument, TransientError
from rag_ingest.adapters.worker import LENGTH, OUT_OF_MEMORY, SPOILED, Request
from rag_ingest.domain.documents import too_much_text
from rag_ingest.domain.formats import Format
from rag_ingest.domain.members import Room

FILES_PER_PROCESS = 500
"""A process is replaced after so many files, so that a leak of a native library stays small."""
_START_SECONDS = 60.0
"""Seconds in which a new process has loaded its libraries, on a machine that is very busy."""
_KILL_GRACE = 2.0
"""Seconds that the kernel's own alarm gets before the process is killed from here."""
_STDERR_TAIL = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. Memory is the address space of the whole process."""

    memory_bytes: int = 1024**3
    cpu_seconds: int = 60
    wall_seconds: int = 120
    max_characters: int = 20_000_000

    @property
    def answer_bytes(self) -> int:
        """The longest answer: text and headings in UTF-8, and what goes with them."""
        return 8 * self.max_characters + 1024**2


class WorkerProcess:
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

    async def ask(self, path: Path, kind: Format, room: Room | None = None) -> bytes:
        """The answer's JSON.

        :raises BadDocument: the process died over the file; the next file gets a new one.
        :raises TransientError: no process could be started.
        """
        if self._retirement is not None:
            self._retirement.cancel()
        if self._farewell is not None:
            await self._farewell
        request = Request(
            path=str(path),
            format=kind,
            room=(str(room.directory), room.members, room.size) if room else None,
            cpu_seconds=self._limits.cpu_seconds,
            wall_seconds=self._limits.wall_seconds,
            max_characters=self._limits.max_characters,
        )
        process = await self._running()
        try:
            async with asyncio.timeout(self._limits.wall_seconds + _KILL_GRACE):
                answer = await self._exchange(process, request)
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
        # Also when it has ended by itself: what it had started may be running still.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
        if self._stderr is not None:
            await self._stderr

    async def _running(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        try:
            async with asyncio.timeout(_START_SECONDS):
                return await self._start()
        except (OSError, asyncio.IncompleteReadError) as error:
            # No file is to blame: the process has not seen one yet.
            await self.stop()
            reason = _last_line(self._noise()) or str(error) or type(error).__name__
            raise TransientError(f"no parser process can be started: {reason}", code="no_parser") from error
        except BaseException:
            await asyncio.shield(self.stop())
            raise

    async def _start(self) -> Process:
        self._stderr = None
        # The environment is not handed on: it holds passwords, and the file may be hostile.
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            str(self._limits.memory_bytes),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=_environment(),
            # What it starts dies with it: the whole group is killed.
            start_new_session=True,
        )
        self._stderr = asyncio.create_task(_tail(process.stderr))
        self._files = 0
        await _read(process, limit=0)
        return process

    async def _exchange(self, process: Process, request: Request) -> bytes:
        assert process.stdin is not None  # noqa: S101 - the process was created with pipes
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(json.dumps(request).encode() + b"\n")
        await process.stdin.drain()
        try:
            return await _read(process, limit=self._limits.answer_bytes)
        except _AnswerTooLong as error:
            process.kill()
            # What is left unread would keep the pipe open.
            await process.stdout.read()
            raise too_much_text(self._limits.max_characters) from error

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
        noise = self._noise()
        if code in (-signal.SIGALRM, -signal.SIGXCPU):
            return _timeout()
        # The allocator of a native library aborts with this message; SIGKILL is the system's own refusal.
        if code in (OUT_OF_MEMORY, -signal.SIGKILL) or "memory allocation of" in noise:
            return _out_of_memory()
        return _damaged() if code == SPOILED else _crash(noise)

    def _noise(self) -> str:
        """What a process that has ended wrote to standard error, at most its end."""
        return self._stderr.result().decode(errors="replace") if self._stderr is not None else ""


def _environment() -> dict[str, str]:
    """One thread for tesseract: the pool decides how many files are read at a time."""
    return {
        "MALLOC_ARENA_MAX": "2",
        "OMP_THREAD_LIMIT": "1",
        "TMPDIR": tempfile.gettempdir(),
        "LANG": "C.UTF-8",
    }


class _AnswerTooLong(Exception):
    """The process wants to say more than it may."""


async def _read(process: Process, *, limit: int) -> bytes:
    assert process.stdout is not None  # noqa: S101 - the process was created with pipes
    (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    if length > limit:
        raise _AnswerTooLong
    return await process.stdout.readexactly(length)


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    kept = b""
    while stream is not None and (data := await stream.read(_STDERR_TAIL)):
        kept = (kept + data)[-_STDERR_TAIL:]
    return kept


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


def _damaged() -> BadDocument:
    return BadDocument(
        "The file is damaged or incomplete and cannot be read. Check that it opens and send it again.",
        code="damaged_file",
    )


def _crash(noise: str) -> BadDocument:
    last = _last_line(noise)
    reason = f" ({last})" if last else ""
    return BadDocument(f"The parser crashed while it read the file{reason}.", code="parser_crashed")


def _last_line(noise: str) -> str:
    lines = noise.strip().splitlines()
    return lines[-1][:200] if lines else ""
