"""A real PostgreSQL, for tests: fast, not durable."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from rag_common.embedded import postgres_bin_dir
from rag_common.testing.processes import ServerProcess, free_port

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "jit": "off",
}
_PORT_TRIES = 5


class PostgresServer:
    """``with PostgresServer() as server: url = await server.create_database()``.

    PostgreSQL refuses to run as root; there it runs as ``nobody``. The cluster is a temporary
    directory, which survives :meth:`kill` and :meth:`start` and is removed at the end.
    """

    def __init__(self) -> None:
        self._directory = Path()
        self._process: ServerProcess | None = None
        self._port = 0
        self._user: tuple[int, int] | None = None
        self._programs = Path()

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="rag-postgres-"))
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.kill()
            shutil.rmtree(self._directory, ignore_errors=True)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """For asyncpg; there is no password."""
        return f"postgresql://rag@127.0.0.1:{self._port}/{database}"

    async def create_database(self, template: str = "template0") -> str:
        """A new, empty database, or a copy of another one; returns its URL."""
        name = f"test_{uuid.uuid4().hex}"
        connection = await asyncpg.connect(self.url())
        try:
            await connection.execute(f'CREATE DATABASE {name} TEMPLATE "{template}"')
        finally:
            await connection.close()
        return self.url(name)

    def start(self) -> None:
        """Start it (again); the port is chosen by the first start and kept."""
        chosen = self._port
        for remaining in reversed(range(1 if chosen else _PORT_TRIES)):
            self._port = chosen or free_port()
            try:
                self._start()
            except RuntimeError:
                if not remaining:
                    raise
            else:
                return

    def stop(self) -> None:
        """Stop it without waiting for clients; does nothing when it is not running."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill it as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.stop(how)
            self._process = None

    def _start(self) -> None:
        settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        command = [str(self._programs / "postgres"), "-D", str(self._directory / "data")]
        self._process = ServerProcess(
            [*command, "-p", str(self._port), *settings], self._directory / "log", user=self._user
        )
        self._process.wait_until(self._accepts_connections)

    def _accepts_connections(self) -> bool:
        # Listening is not enough: after a crash it recovers first.
        probe = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(probe, check=False).returncode == 0  # noqa: S603 - our own program

    def _prepare(self) -> None:
        self._programs = postgres_bin_dir()
        if os.geteuid() == 0:
            entry = pwd.getpwnam("nobody")
            self._user = (entry.pw_uid, entry.pw_gid)
            os.chown(self._directory, *self._user)
            self._make_programs_reachable()
        self._run(
            "initdb", "-D", str(self._directory / "data"), "-U", "rag", "--auth=trust", "--no-sync",
            "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
        )  # fmt: skip

    def _make_programs_reachable(self) -> None:
        """Copy them where the environment lies below a directory that only root may enter."""
        try:
            self._run("postgres", "--version")
        except PermissionError:
            installation = self._programs.parents[1]
            # the package, and the libraries beside it
            for directory in (installation, installation.with_name(f"{installation.name}.libs")):
                shutil.copytree(directory, self._directory / directory.name, symlinks=True)
            self._programs = self._directory / installation.name / "pginstall" / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        uid, gid = self._user or (None, None)
        result = subprocess.run(  # noqa: S603 - our own programs
            [str(self._programs / program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            user=uid,
            group=gid,
            extra_groups=[] if self._user else None,
        )
        if result.returncode:
            raise RuntimeError(f"{program} failed: {result.stdout}{result.stderr}")
