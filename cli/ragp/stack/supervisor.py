"""The embedded stack as one object: start it, use it, stop it."""

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

from rag_common.permissions import Role
from ragp.errors import StackError
from ragp.stack.logs import rotate
from ragp.stack.nats import EmbeddedNats, NatsUser
from ragp.stack.orphans import end_orphans
from ragp.stack.postgres import EmbeddedPostgres
from ragp.stack.process import ProcessSpec, SupervisedProcess, inherited_environment
from ragp.stack.services import service_specs
from ragp.stack.spaces import choose_spaces
from ragp.stack.state import (
    LOOPBACK,
    DataDirectory,
    RunRecord,
    StackState,
    free_port,
    port_is_free,
    write_private,
)
from ragp.stack.steps import run_command, together

DEFAULT_PORT = 8080
_HOUSEKEEPING_SECONDS = 2.0
_log = logging.getLogger(__name__)

Listener = Callable[[SupervisedProcess], None]


class Stack:
    """nats-server, PostgreSQL and the five services, supervised by this process.

    ::

        async with Stack(tmp_path, port=0) as stack:
            httpx.get(stack.url + "/v1/collections", headers={"Authorization": f"Bearer {stack.api_key}"})

    ``port`` is the gateway's; 0 takes a free one. ``environment`` is given to every service;
    ``only`` starts just these services. ``space`` is served beside the active embedding space, and
    becomes the active one if no document is missing in it or on its way; else ``notice`` says what to do.
    ``listener`` is called at every change of a process.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = DEFAULT_PORT,
        environment: Mapping[str, str] | None = None,
        only: tuple[str, ...] | None = None,
        space: str | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.directory = DataDirectory(data_dir)
        self._port = port
        self._environment = dict(environment or {})
        self._only = only
        self._space = space
        self.notice: str | None = None
        self._listener = listener
        self._processes: dict[str, SupervisedProcess] = {}
        self._lock: IO[str] | None = None
        self._housekeeping: asyncio.Task[None] | None = None
        self._started_at = time.time()
        self._ready = False
        self._nats: EmbeddedNats | None = None
        self._postgres: EmbeddedPostgres | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Of the gateway."""
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def api_key(self) -> str:
        """The bootstrap API key. :raises StackError: the gateway has not started yet."""
        key = self.directory.api_key()
        if key is None:
            raise StackError("there is no API key yet: the gateway creates it when it starts")
        return key

    @property
    def nats_url(self) -> str:
        return self._running_nats.url

    def nats_user(self, role: Role) -> NatsUser:
        """Credentials of ``operator``, ``producer`` (of the tenant ``default``) or a service."""
        return self._running_nats.user(role)

    @property
    def database_url(self) -> str:
        if self._postgres is None:
            raise StackError("the stack is not started")
        return self._postgres.database_url

    def process(self, name: str) -> SupervisedProcess:
        """``nats``, ``postgres`` or a service. :raises KeyError: it is not part of this stack."""
        return self._processes[name]

    @property
    def processes(self) -> tuple[SupervisedProcess, ...]:
        return tuple(self._processes.values())

    async def start(self) -> None:
        """Start everything and wait until all is ready.

        :raises StackError: another supervisor runs, the port is taken, or a process does not start;
            nothing is left running then.
        """
        self.directory.create()
        self._acquire_lock()
        try:
            end_orphans(self.directory)
            state = StackState.load(self.directory)
            self._take_port(state)
            self._nats = EmbeddedNats(self.directory, state)
            self._postgres = EmbeddedPostgres(self.directory, state)
            services = service_specs(self.directory, state, self._nats, self._postgres, self._port)
            state.save(self.directory)
            await self._start_stores()
            await self._start_services(services, state)
            self._ready = True
            self._write_record()
        except OSError as error:
            await self.stop()
            raise StackError(f"the stack cannot start: {error}", cure="ragp doctor") from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Drain and stop in reverse order; leaves no process behind."""
        self._ready = False
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            self._housekeeping = None
        stores = [self._processes[name] for name in ("nats", "postgres") if name in self._processes]
        entrance = [process for process in self._processes.values() if process.name == "gateway"]
        others = [process for process in self._processes.values() if process not in (*stores, *entrance)]
        # The entrance first: what comes after it can then finish what it has.
        try:
            for group in (entrance, others, stores):
                await _stop_all(group)
        finally:
            self._processes.clear()
            if self._postgres is not None:
                self._postgres.close()
            self._release_lock()

    async def _start_stores(self) -> None:
        nats, postgres = self._running_nats, self._postgres
        assert postgres is not None  # noqa: S101 - start() has just set it
        nats_process = self._add(replace(nats.spec(), after_restart=self._provision))
        self._housekeeping = asyncio.create_task(self._keep_house())
        await together(nats_process.start(), postgres.prepare())
        await self._add(postgres.spec()).start()
        await together(self._provision(), run_command(self.directory, "migrate"))

    async def _start_services(self, specs: list[ProcessSpec], state: StackState) -> None:
        chosen = [spec for spec in specs if self._only is None or spec.name in self._only]
        added = await self._spaces(state) if any(spec.name == "embedder" for spec in chosen) else {}
        given = {**added, **self._environment}
        await together(
            *(self._add(replace(spec, environment={**spec.environment, **given})).start() for spec in chosen)
        )

    async def _spaces(self, state: StackState) -> dict[str, str]:
        """Tells the embedder which spaces to serve, unless our own environment does."""
        if self._space is None and "RAG_SPACES" in {**inherited_environment(), **self._environment}:
            return {}
        served = await choose_spaces(self.directory, self._space, state.spaces)
        self.notice = served.notice
        state.spaces = served.names
        state.save(self.directory)
        return {"RAG_SPACES": ",".join(served.names)}

    def _add(self, spec: ProcessSpec) -> SupervisedProcess:
        process = self._processes[spec.name] = SupervisedProcess(spec, self._process_changed)
        return process

    def _process_changed(self, process: SupervisedProcess) -> None:
        self._write_record()
        if self._listener is not None:
            self._listener(process)

    async def _provision(self) -> None:
        """Also after a crash of nats-server, which forgets the streams that it holds in memory."""
        await run_command(self.directory, "provision")

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)
            for name in ("supervisor", *self._processes):
                try:
                    rotate(self.directory.log(name))
                except OSError as error:
                    _log.warning("the log of %s could not be rotated: %s", name, error)

    def _take_port(self, state: StackState) -> None:
        if self._port == 0:
            self._port = free_port(exclude=set(state.ports.values()))
        elif not port_is_free(self._port):
            raise StackError(
                f"port {self._port} is taken by another program",
                cure="choose another one: ragp up --port 8081",
            )
        state.reserve(self._port)

    def _acquire_lock(self) -> None:
        lock = open(self.directory.lock_file, "a")  # noqa: SIM115 - held until _release_lock
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise StackError(
                f"a stack is already running on {self.directory.root}",
                cure="`ragp status` shows it, `ragp down` stops it",
            ) from error
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.directory.run_file)
            self._lock.close()
            self._lock = None

    @property
    def _running_nats(self) -> EmbeddedNats:
        if self._nats is None:
            raise StackError("the stack is not started")
        return self._nats

    def _write_record(self) -> None:
        own = psutil.Process()
        record = RunRecord(
            pid=own.pid,
            created=own.create_time(),
            started_at=self._started_at,
            ready=self._ready,
            url=self.url,
            notice=self.notice,
            processes=tuple(process.record() for process in self._processes.values()),
        )
        write_private(self.directory.run_file, record.model_dump_json(indent=2))


async def _stop_all(processes: Sequence[SupervisedProcess]) -> None:
    """One that cannot be stopped does not keep the others running."""
    ends = await asyncio.gather(*(process.stop() for process in processes), return_exceptions=True)
    for process, end in zip(processes, ends, strict=True):
        if end is not None:
            _log.error("%s could not be stopped", process.name, exc_info=end)
