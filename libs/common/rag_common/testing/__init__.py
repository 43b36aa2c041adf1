"""Shipped test support: real servers as context managers."""

from rag_common.embedded import MissingProgramError, nats_server_binary, postgres_bin_dir
from rag_common.testing.nats_server import NatsServer, NatsUser, nats_users
from rag_common.testing.postgres_server import PostgresServer

__all__ = [
    "MissingProgramError",
    "NatsServer",
    "NatsUser",
    "PostgresServer",
    "nats_server_binary",
    "nats_users",
    "postgres_bin_dir",
]
