"""What the statuses of a Qdrant server come to. The server is a stand-in that speaks HTTP, no Qdrant."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient

from rag_retriever.adapters.qdrant import QdrantIndex
from rag_retriever.domain.index import IndexFault, IndexUnavailable, SearchSpec, scope_filter

SPACE, NAME, DIMENSION = "minilm", "test_minilm", 4
SEARCH = SearchSpec(SPACE, scope_filter("acme", ["*"]), 5, dense=np.ones(DIMENSION, np.float32))
INFO = {
    "status": "green",
    "optimizer_status": "ok",
    "segments_count": 1,
    "payload_schema": {},
    "config": {
        "params": {"vectors": {"dense": {"size": DIMENSION, "distance": "Cosine"}}},
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000},
        "optimizer_config": {
            "deleted_threshold": 0.2,
            "vacuum_min_vector_number": 1000,
            "default_segment_number": 0,
            "flush_interval_sec": 5,
        },
    },
}


class StandIn:
    """Knows whether one collection exists; operations on points get ``status``."""

    def __init__(self) -> None:
        self.exists = True
        self.status = 200
        self.headers: dict[str, str] = {}
        self.requests: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        method, path, _ = head.split(" ", 2)
        if "content-length:" in head:
            await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
        self.requests.append(f"{method} {path.split('?')[0]}")
        status, result = self.answer(method, path.split("?")[0])
        fields = self.headers if status != 200 else {}
        body = json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()
        lines = [f"HTTP/1.1 {status} Status", "Connection: close", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        writer.close()
        await writer.wait_closed()

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        if path.endswith("/exists"):
            return 200, {"exists": self.exists}
        if "/points" in path:
            return self.status, [{"points": []}]
        if (method, path) == ("put", f"/collections/{NAME}"):
            self.exists = True
            return 200, True
        if path.endswith("/index"):
            return 200, {"operation_id": 1, "status": "completed"}
        return 200, INFO


@pytest.fixture
async def server() -> AsyncIterator[StandIn]:
    stand_in = StandIn()
    listening = await asyncio.start_server(stand_in.serve, "127.0.0.1", 0)
    stand_in.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield stand_in
    listening.close()
    await listening.wait_closed()


@pytest.fixture
async def index(server: StandIn) -> AsyncIterator[QdrantIndex]:
    client = AsyncQdrantClient(server.url, timeout=5, check_compatibility=False)
    index = QdrantIndex(client, "test")
    yield index
    await index.close()


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503, 504])
async def test_what_an_operator_or_time_mends_is_unavailable(
    server: StandIn, index: QdrantIndex, status: int
) -> None:
    assert await index.query_batch([SEARCH]) == [[]]
    server.status = status
    with pytest.raises(IndexUnavailable, match=str(status)):
        await index.query_batch([SEARCH])
    server.status = 200
    assert await index.query_batch([SEARCH]) == [[]]


@pytest.mark.parametrize("status", [400, 422])
async def test_an_operation_that_is_wrong_is_a_fault(
    server: StandIn, index: QdrantIndex, status: int
) -> None:
    server.status = status
    with pytest.raises(IndexFault):
        await index.query_batch([SEARCH])


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("0", 1), ("Wed, 21 Oct 2026 07:28:00 GMT", 1)])
async def test_an_overloaded_server_names_the_pause(
    server: StandIn, index: QdrantIndex, header: str, seconds: int
) -> None:
    server.status = 429
    server.headers = {"Retry-After": header}
    with pytest.raises(IndexUnavailable) as failure:
        await index.query_batch([SEARCH])
    assert failure.value.retry_after == seconds


async def test_a_collection_that_a_restored_server_lacks_is_made_again(
    server: StandIn, index: QdrantIndex
) -> None:
    await index.ensure_space(SPACE, DIMENSION)
    await index.query_batch([SEARCH])
    before = len(server.requests)
    await index.ensure_space(SPACE, DIMENSION)
    assert len(server.requests) == before
    server.exists, server.status = False, 404
    with pytest.raises(IndexUnavailable):
        await index.upsert(SPACE, [])
    assert await index.query_batch([SEARCH]) == [[]]
    server.status = 200
    await index.ensure_space(SPACE, DIMENSION)
    assert f"put /collections/{NAME}" in server.requests
    assert await index.query_batch([SEARCH]) == [[]]
    assert f"post /collections/{NAME}/points/query/batch" in server.requests[-1]
