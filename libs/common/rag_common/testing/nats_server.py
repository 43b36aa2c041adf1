"""A real nats-server with JetStream, for tests."""

import json
import shutil
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rag_common.embedded import nats_server_binary
from rag_common.permissions import Permissions, Role, permissions
from rag_common.testing.processes import ServerProcess
from rag_common.topology import Topology

MAX_PAYLOAD = 4 * 1024 * 1024


@dataclass(frozen=True)
class NatsUser:
    """A user of the server; the password is the name."""

    name: str
    permissions: Permissions


def nats_users(topology: Topology) -> tuple[NatsUser, ...]:
    """One user per role, and ``producer-{tenant}`` for each tenant."""
    roles: tuple[Role, ...] = ("gateway", "ingest", "embedder", "retriever", "generator", "operator")
    return (
        *(NatsUser(role, permissions(topology, role)) for role in roles),
        *(
            NatsUser(f"producer-{tenant}", permissions(topology, "producer", tenant=tenant))
            for tenant in topology.tenants
        ),
    )


class NatsServer:
    """``with NatsServer() as server: nats.connect(server.url)``.

    Its store is a temporary directory, which survives :meth:`kill` and :meth:`start` and is removed
    at the end. The port is chosen by the first start and kept. ``users`` takes effect at a start;
    without any, everybody may do everything.
    """

    def __init__(self, *, users: Sequence[NatsUser] = (), sync_always: bool = False) -> None:
        self.users = users
        self._sync_always = sync_always
        self._directory = Path()
        self._process: ServerProcess | None = None
        self._port = -1

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="rag-nats-"))
        try:
            self.start()
        except BaseException:
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

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it (again), with the same port and the same store."""
        config = self._directory / "nats.json"
        config.write_text(json.dumps(self._config()))
        ports = self._directory / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir()
        self._process = ServerProcess(
            [str(nats_server_binary()), "-c", str(config), "--ports_file_dir", str(ports)],
            self._directory / "log",
        )
        self._process.wait_until(lambda: self._read_port(ports))

    def stop(self) -> None:
        """Stop it cleanly; does nothing when it is not running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.stop(how)
            self._process = None

    def _read_port(self, ports: Path) -> bool:
        for file in ports.glob("*.ports"):
            try:
                addresses = json.loads(file.read_text())["nats"]
            except (ValueError, KeyError):
                return False  # still being written
            self._port = int(addresses[0].rsplit(":", 1)[1])
            return True
        return False

    def _config(self) -> dict[str, object]:
        config: dict[str, object] = {
            "listen": f"127.0.0.1:{self._port}",
            "max_payload": MAX_PAYLOAD,
            "jetstream": {
                "store_dir": str(self._directory / "store"),
                # what the streams of all tests together reserve, not what they use
                "max_memory_store": 2**42,
                **({"sync_interval": "always"} if self._sync_always else {}),
            },
        }
        if self.users:
            config["authorization"] = {
                "users": [
                    {"user": user.name, "password": user.name, "permissions": user.permissions}
                    for user in self.users
                ]
            }
        return config
