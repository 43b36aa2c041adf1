"""A gateway in this process behind a real HTTP port, and what its tests do with it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
from nats.js import JetStreamContext
from pydantic import SecretStr

from rag_common.contracts import DocumentRef, Message
from rag_common.objects import ObjectStore
from rag_common.registry import ChunkRow, Registry
from rag_common.topology import Topology
from rag_gateway.app import create_app
from rag_gateway.domain.reconciling import STAMP
from rag_gateway.settings import GatewaySettings

M = TypeVar("M", bound=Message)
PATIENCE = 15.0
"""Seconds; only a test that fails waits so long."""
TENANT = "default"
Json = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where the gateway's neighbours are."""

    nats_url: str
    database_url: str
    topology: Topology
    directory: Path

    def settings(self, **changes: Any) -> GatewaySettings:
        """Quick and quiet: the reconciler sleeps unless a test wakes it."""
        quick = {
            "reconcile_interval": 3600.0,
            "event_poll_interval": 0.5,
            "graceful_timeout": 5.0,
            "api_key_file": self.directory / "keys" / "api-key",
        }
        # a test may sweep more often than any installation
        sweeps = {"sweep_interval": changes.pop("sweep_interval")} if "sweep_interval" in changes else {}
        settings = GatewaySettings(
            nats_url=self.nats_url,
            database_url=SecretStr(self.database_url),
            namespace=self.topology.namespace,
            **{**quick, **changes},
        )
        return settings.model_copy(update=sweeps)


@dataclass(frozen=True)
class Gateway:
    """A running gateway as its client and its neighbours see it."""

    http: httpx.AsyncClient
    registry: Registry
    jetstream: JetStreamContext
    objects: ObjectStore
    topology: Topology
    place: Place
    stopping: asyncio.Event
    """What SIGTERM sets."""

    async def upload(self, content: bytes = b"Everyone has 28 days.", **fields: Any) -> Json:
        """Upload one file and return the gateway's word on it."""
        name = fields.pop("name", "leave.txt")
        response = await self.http.post(
            "/v1/documents", data={"collection": "handbook", **fields}, files=[("files", (name, content))]
        )
        assert response.status_code in (200, 202), response.text
        document: Json = response.json()["documents"][0]
        return document

    async def get(self, path: str, **params: Any) -> Json:
        response = await self.http.get(path, params=params)
        assert response.status_code == 200, response.text
        body: Json = response.json()
        return body

    async def stored(self, contract: type[M]) -> list[M]:
        """Every message of a kind, in order. A work queue admits no second consumer: they are looked up."""
        stream = self.topology.stream(contract.stream or "")
        state = (await self.jetstream.stream_info(stream)).state
        prefix = self.topology.pattern(contract).split("*")[0]
        found = []
        for sequence in range(max(1, state.first_seq), state.last_seq + 1) if state.messages else ():
            message = await self.jetstream.get_msg(stream, sequence)
            if (message.subject or "").startswith(prefix):
                found.append(contract.decode(message.data or b""))
        return found

    async def object_names(self) -> set[str]:
        """The uploads in the bucket; the stamp of the installation is none."""
        return {name async for name in self.objects.names()} - {STAMP}

    async def chunks_left(self) -> int:
        """Messages in the bucket's stream: chunks and names of objects."""
        bucket = self.topology.bucket("documents")
        return (await self.jetstream.stream_info(f"OBJ_{bucket}")).state.messages

    async def lose_jobs(self, stream: str) -> None:
        """What a crash between commit and publish, or a lost NATS, leaves behind."""
        await self.jetstream.purge_stream(self.topology.stream(stream))

    async def make_live(self, document: Json, text: str = "Everyone has 28 days.") -> None:
        """What ingest, embedder and retriever do with a document."""
        ref = DocumentRef(tenant=TENANT, document_id=document["id"], generation=document["generation"])
        await self.registry.ingesting.begin(ref, 1)
        chunks = [
            ChunkRow(no, word, 0, len(word), heading=("Leave",)) for no, word in enumerate(text.split())
        ]
        await self.registry.ingesting.commit_chunks(ref, chunks, batches=1, fingerprint="pipeline")
        space = (await self.registry.spaces.active()).name
        source = await self.registry.indexing.source(ref, [0])
        assert source is not None
        completion = await self.registry.indexing.complete(ref, space, 0, source.acl_version)
        assert completion.outcome == "live"


@asynccontextmanager
async def running_gateway(
    place: Place, registry: Registry, jetstream: JetStreamContext, **changes: Any
) -> AsyncIterator[Gateway]:
    """A ready gateway on a port of its own."""
    settings = place.settings(**changes)
    app = create_app(settings, topology=place.topology)
    config = uvicorn.Config(app, port=0, lifespan="on", log_config=None, timeout_graceful_shutdown=5)
    listener = config.bind_socket()
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    port = listener.getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            await eventually(lambda: _ready(http, serving))
            http.headers["Authorization"] = f"Bearer {settings.api_key_file.read_text().strip()}"
            objects = ObjectStore(lambda: jetstream, place.topology.bucket("documents"))
            yield Gateway(http, registry, jetstream, objects, place.topology, place, app.state.stopping)
    finally:
        app.state.stopping.set()
        server.should_exit = True
        await serving


async def _ready(http: httpx.AsyncClient, serving: "asyncio.Task[None]") -> bool | None:
    if serving.done():
        serving.result()
        raise AssertionError("the gateway has stopped")
    try:
        return (await http.get("/readyz")).status_code == 200 or None
    except httpx.TransportError:
        return None


T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]]) -> T:
    """What ``look`` returns as soon as it is not ``None``."""
    deadline = time.monotonic() + PATIENCE
    while (found := await look()) is None:
        assert time.monotonic() < deadline, "it has not happened"
        await asyncio.sleep(0.02)
    return found


def problem(response: httpx.Response, status: int, code: str) -> Json:
    """Check that a response is this problem, in the one shape; returns its body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: Json = response.json()
    assert {"type", "title", "status", "detail", "code", "instance"} <= body.keys()
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"urn:rag:problem:{code}"
    assert body["instance"] == response.request.url.path
    assert body["detail"]
    return body
