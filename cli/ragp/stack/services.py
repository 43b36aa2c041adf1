"""The five services: what each is told through its environment."""

import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from ragp.stack.nats import EmbeddedNats
from ragp.stack.postgres import EmbeddedPostgres
from ragp.stack.probe import http_ok
from ragp.stack.process import ProcessSpec
from ragp.stack.state import LOOPBACK, SERVICES, DataDirectory, StackState

GRACEFUL_SECONDS = 20.0
"""A job that is not finished by then is redelivered at the next start."""
_REGISTRY_READERS = ("gateway", "ingest", "retriever")


def service_specs(
    directory: DataDirectory, state: StackState, nats: EmbeddedNats, postgres: EmbeddedPostgres, port: int
) -> list[ProcessSpec]:
    """The services in the order of starting; the gateway listens on ``port``."""
    own_settings = {
        "gateway": {"RAG_API_KEY_FILE": str(directory.api_key_file)},
        "retriever": {"RAG_EDGE_DIR": str(directory.edge)},
    }
    specs = []
    for name in SERVICES:
        own_port = port if name == "gateway" else state.assign_port(name)
        user = nats.user(name)
        environment = {
            "RAG_NATS_URL": nats.url,
            "RAG_NATS_USER": user.name,
            "RAG_NATS_PASSWORD": user.password,
            "RAG_NAMESPACE": "rag",
            "RAG_HOST": LOOPBACK,
            "RAG_PORT": str(own_port),
            "RAG_GRACEFUL_TIMEOUT": str(GRACEFUL_SECONDS),
            **own_settings.get(name, {}),
        }
        if name in _REGISTRY_READERS:
            environment["RAG_DATABASE_URL"] = postgres.database_url
        specs.append(
            ProcessSpec(
                name=name,
                command=(sys.executable, "-m", f"rag_{name}.app"),
                ready=_readiness(own_port),
                log=directory.log(name),
                port=own_port,
                environment=environment,
                start_seconds=180.0,
                stop_seconds=GRACEFUL_SECONDS + 10.0,
            )
        )
    return specs


def _readiness(port: int) -> Callable[[], Coroutine[Any, Any, bool]]:
    return partial(http_ok, port, "/readyz")
