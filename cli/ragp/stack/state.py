"""What a data directory holds, and the two records that the stack keeps in it.

``state.json`` is remembered for ever (ports, secrets); ``run.json`` describes the running stack.
"""

import contextlib
import os
import random
import secrets
import socket
import tempfile
from pathlib import Path
from typing import Literal, Self, get_args

import psutil
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from rag_common.permissions import Role
from ragp.errors import StackError

Service = Literal["generator", "retriever", "embedder", "ingest", "gateway"]
ProcessState = Literal["starting", "ready", "backing-off", "stopped"]

LOOPBACK = "127.0.0.1"
SERVICES: tuple[Service, ...] = get_args(Service)
"""In the order of starting: who answers, before who asks."""
NATS_ROLES: tuple[Role, ...] = (*SERVICES, "operator", "producer")
DEFAULT_TENANT = "default"

# Below the ephemeral range of Linux (32768-60999), so that no outgoing connection takes a remembered port.
_PORT_RANGE = range(20000, 32000)


class DataDirectory:
    """The one directory that holds all state of an embedded stack."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.logs = self.root / "logs"
        self.nats = self.root / "nats"
        self.postgres = self.root / "postgres"
        self.edge = self.root / "edge"
        self.api_key_file = self.root / "api-key"
        self.state_file = self.root / "state.json"
        self.run_file = self.root / "run.json"
        self.lock_file = self.root / "supervisor.lock"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def create(self) -> None:
        """:raises StackError: the directory cannot be created or written."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for directory in (self.logs, self.nats, self.postgres, self.edge):
                directory.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise StackError(
                f"cannot create the data directory {self.root}: {error.strerror}",
                cure="choose another one with --data-dir or RAGP_DATA_DIR",
            ) from error

    def api_key(self) -> str | None:
        """The bootstrap API key that the gateway has written, if it has started once.

        :raises StackError: it cannot be read.
        """
        try:
            return _read(self.api_key_file).decode(errors="replace").strip() or None
        except FileNotFoundError:
            return None


class StackState(BaseModel):
    """Chosen at the first start, kept for ever: internal ports and generated passwords."""

    ports: dict[str, int] = {}
    secrets: dict[str, str] = {}
    spaces: tuple[str, ...] = ()
    """Embedding spaces that the embedder served last."""
    _reserved: set[int] = PrivateAttr(default_factory=set)

    @classmethod
    def load(cls, directory: DataDirectory) -> Self:
        """:raises StackError: the file is damaged or cannot be read."""
        try:
            return cls.model_validate_json(_read(directory.state_file))
        except FileNotFoundError:
            return cls()
        except ValidationError as error:
            raise StackError(
                f"{directory.state_file} is damaged",
                cure="restore it from a backup: it holds the passwords of this data directory",
            ) from error

    def save(self, directory: DataDirectory) -> None:
        write_private(directory.state_file, self.model_dump_json(indent=2))

    def secret(self, name: str) -> str:
        """The password of this name, generated at first use."""
        return self.secrets.setdefault(name, secrets.token_hex(24))

    def reserve(self, port: int) -> None:
        """Assign this port to nobody: it is the gateway's, which is not remembered."""
        self._reserved.add(port)

    def assign_port(self, name: str) -> int:
        """The remembered port when it is free, else another free one."""
        port = self.ports.get(name)
        if port is None or port in self._reserved or not port_is_free(port):
            port = self.ports[name] = free_port(exclude=self._reserved | set(self.ports.values()))
        return port


class ProcessRecord(BaseModel):
    """A process is known by pid and creation time: a pid alone may have been given to another."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int | None
    created: float | None
    port: int | None
    state: ProcessState
    restarts: int

    def process(self) -> psutil.Process | None:
        """The living process, or ``None``."""
        return living_process(self.pid, self.created)


class RunRecord(BaseModel):
    """The running stack, as its supervisor last described it."""

    model_config = ConfigDict(frozen=True)

    pid: int
    created: float
    started_at: float
    """Unix time, seconds."""
    ready: bool
    url: str
    notice: str | None = None
    """What the user should know of this start."""
    processes: tuple[ProcessRecord, ...] = ()

    @classmethod
    def load(cls, directory: DataDirectory) -> Self | None:
        """The last record written, or ``None``; it may describe a stack that has died.

        :raises StackError: it cannot be read.
        """
        try:
            return cls.model_validate_json(_read(directory.run_file))
        except (FileNotFoundError, ValidationError):
            return None

    @classmethod
    def of_running(cls, directory: DataDirectory) -> Self | None:
        """The record of a supervisor that is alive, or ``None``."""
        record = cls.load(directory)
        return record if record is not None and record.supervisor() is not None else None

    def supervisor(self) -> psutil.Process | None:
        return living_process(self.pid, self.created)


def _read(path: Path) -> bytes:
    """:raises FileNotFoundError: there is none. :raises StackError: it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StackError(
            f"{path} cannot be read: {error.strerror}", cure="run as the user who started the stack"
        ) from error


def living_process(pid: int | None, created: float | None) -> psutil.Process | None:
    """The process of this pid and creation time (Unix seconds), unless it has ended."""
    if pid is None or created is None:
        return None
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        # A clock step moves the creation times that the kernel's boot time is added to.
        if abs(process.create_time() - created) < 2.0 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically; only its owner can read it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(exclude: set[int] | None = None) -> int:
    """:raises StackError: no free port was found."""
    for port in random.sample(_PORT_RANGE, 200):
        if port not in (exclude or ()) and port_is_free(port):
            return port
    raise StackError("no free port on loopback", cure="stop some of the servers of this machine")
