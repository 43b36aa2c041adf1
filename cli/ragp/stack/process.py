"""One supervised process: started, watched until ready, restarted with back-off, stopped."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from ragp.errors import StackError
from ragp.stack import launch
from ragp.stack.logs import last_lines
from ragp.stack.state import ProcessRecord, ProcessState

FIRST_DELAY = 0.2
LONGEST_DELAY = 30.0
HEALTHY_SECONDS = 30.0
"""A process that has run this long is restarted at once, as at the first time."""
_ATTEMPTS_TO_START = 4
_POLL_SECONDS = 0.05
_log = logging.getLogger(__name__)


def inherited_environment() -> dict[str, str]:
    """What a child gets of our environment: the services' settings, but not those of this command.

    (A NATS URL for ``ragp drop``, say, must not make the stack provision another server.)
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("RAGP_")}


def bare_environment() -> dict[str, str]:
    """For a program that is no service of ours: no secret of our environment concerns it."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}


@dataclass(frozen=True)
class ProcessSpec:
    """How to run one program and how to know that it is ready."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], Awaitable[bool]]
    log: Path
    port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to what it inherits."""
    inherits: Callable[[], dict[str, str]] = inherited_environment
    start_seconds: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 30.0
    death_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends when the supervisor dies (Linux)."""
    owner: tuple[int, int] | None = None
    """User and group id to run as; ``None``: the supervisor's own."""
    pass_fds: tuple[int, ...] = ()
    before_start: Callable[[], None] | None = None
    after_restart: Callable[[], Awaitable[None]] | None = None
    """Restores what a crash has cost; a :class:`StackError` from it is tried again."""


async def spawn(spec: ProcessSpec) -> asyncio.subprocess.Process:
    """Start the program in a session of its own, its output appended to its log."""
    owner = "-" if spec.owner is None else "{}:{}".format(*spec.owner)
    arguments = [str(os.getpid()), str(int(spec.death_signal)), owner, *spec.command]
    with open(spec.log, "ab") as log:  # noqa: ASYNC230 - a local file, opened once per start
        return await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", launch.__file__, *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            env={**spec.inherits(), **spec.environment},
            cwd="/", pass_fds=spec.pass_fds, start_new_session=True,
        )  # fmt: skip


def kill_session(pid: int, number: signal.Signals) -> None:
    """Signal a child and all that it has started; each child leads a process group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


class SupervisedProcess:
    """Keeps one program running from :meth:`start` to :meth:`stop`."""

    def __init__(self, spec: ProcessSpec, changed: Callable[["SupervisedProcess"], None]) -> None:
        self.spec = spec
        self.state: ProcessState = "stopped"
        self.restarts = 0
        self._changed = changed
        self._child: asyncio.subprocess.Process | None = None
        self._created: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._was_ready = False
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int:
        """:raises StackError: the process is not running at this moment."""
        if self._child is None or self._child.returncode is not None:
            raise StackError(f"{self.spec.name} is not running")
        return self._child.pid

    def record(self) -> ProcessRecord:
        running = self._child is not None and self._child.returncode is None
        return ProcessRecord(
            name=self.spec.name,
            pid=self._child.pid if running and self._child else None,
            created=self._created if running else None,
            port=self.spec.port,
            state=self.state,
            restarts=self.restarts,
        )

    def kill(self) -> None:
        """SIGKILL the process itself. It is restarted; :meth:`wait_ready` waits for that."""
        os.kill(self.pid, signal.SIGKILL)
        self._ready.clear()

    def begin(self) -> None:
        """Start without waiting for readiness."""
        self._task = asyncio.create_task(self._supervise(), name=f"supervise {self.spec.name}")

    async def start(self) -> None:
        """Start and wait until ready. :raises StackError: it dies repeatedly, or is not ready in time."""
        self.begin()
        await self.wait_ready(self.spec.start_seconds)

    async def wait_ready(self, seconds: float) -> None:
        """:raises StackError: it dies repeatedly, or is not ready in time."""
        ready = asyncio.create_task(self._ready.wait())
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({ready, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            ended.cancel()
        if not self._ready.is_set():
            what = "does not start" if self._ended.is_set() else f"is not ready after {seconds:.0f} s"
            raise StackError(
                f"{self.spec.name} {what}; the end of its log:\n{last_lines(self.spec.log)}",
                cure=f"see {self.spec.log}; `ragp doctor` checks the machine",
            )

    async def stop(self) -> None:
        """Ask, wait up to ``stop_seconds``, then kill. Leaves no process of its group."""
        if self._task is not None:
            self._task.cancel()
            # Whatever it has ended with: the child is still to be stopped.
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        child = self._child
        if child is not None and child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(self.spec.stop_signal)
            try:
                await asyncio.wait_for(child.wait(), self.spec.stop_seconds)
            except TimeoutError:
                kill_session(child.pid, signal.SIGKILL)
                await child.wait()
        if child is not None:
            kill_session(child.pid, signal.SIGKILL)
        self._become("stopped")

    async def _supervise(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self._run_once()
            except Exception:  # noqa: BLE001 - told, and counted as a failed start
                _log.exception("%s could not be started or watched", self.name)
                await self._end_child()
            if time.monotonic() - started >= HEALTHY_SECONDS:
                self._failures = 0
            self._failures += 1
            if not self._was_ready and self._failures >= _ATTEMPTS_TO_START:
                self._ended.set()
                return
            self._ready.clear()
            self._become("backing-off")
            await asyncio.sleep(backoff(self._failures))
            self.restarts += 1

    async def _run_once(self) -> None:
        if self.spec.before_start is not None:
            self.spec.before_start()
        self._child = child = await spawn(self.spec)
        with contextlib.suppress(psutil.NoSuchProcess):
            self._created = psutil.Process(child.pid).create_time()
        self._become("starting")
        watcher = asyncio.create_task(self._watch_readiness())
        try:
            await child.wait()
        finally:
            watcher.cancel()
        # What it has started must not outlive it: a second start would meet it.
        kill_session(child.pid, signal.SIGKILL)

    async def _end_child(self) -> None:
        if self._child is not None and self._child.returncode is None:
            kill_session(self._child.pid, signal.SIGKILL)
            await self._child.wait()

    async def _watch_readiness(self) -> None:
        while not await self._is_ready():  # noqa: ASYNC110 - another process
            await asyncio.sleep(_POLL_SECONDS)
        self._was_ready = True
        self._ready.set()
        self._become("ready")

    async def _is_ready(self) -> bool:
        try:
            return await self.spec.ready() and await self._restored()
        except OSError as error:
            _log.warning("%s could not be asked whether it is ready: %s", self.name, error)
            await asyncio.sleep(FIRST_DELAY)
            return False

    async def _restored(self) -> bool:
        if not self._was_ready or self.spec.after_restart is None:
            return True
        try:
            await self.spec.after_restart()
        except StackError:
            await asyncio.sleep(FIRST_DELAY)
            return False
        return True

    def _become(self, state: ProcessState) -> None:
        self.state = state
        try:
            self._changed(self)
        except OSError as error:
            # A full disk, say. It can be told at the next change; supervision goes on.
            _log.warning("the state %s of %s could not be told: %s", state, self.name, error)


def backoff(failures: int) -> float:
    """Seconds to wait before the next start after this many failures in a row (from 1)."""
    return float(min(FIRST_DELAY * 2 ** min(failures - 1, 16), LONGEST_DELAY))
