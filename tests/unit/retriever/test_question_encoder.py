import base64
import json

import nats.errors
import numpy as np
import pytest
from retriever_fakes import FakeSpace, FakeSpaces

from rag_common.contracts import EmbedQuery, QueryVectors
from rag_retriever.adapters.embedder import TRIES, NatsEncoder
from rag_retriever.adapters.spaces import ACTIVE_SECONDS, RememberedSpaces
from rag_retriever.domain.ports import EncoderUnavailable


class Embedder:
    """Encodes a text as its length and a one; raises or answers ``outages`` first."""

    def __init__(self, *outages: Exception | bytes) -> None:
        self.outages = list(outages)
        self.requests: list[EmbedQuery] = []

    async def __call__(self, body: bytes, seconds: float) -> bytes:
        request = EmbedQuery.decode(body)
        self.requests.append(request)
        if self.outages:
            outage = self.outages.pop(0)
            if isinstance(outage, Exception):
                raise outage
            return outage
        rows = np.array([[len(text), 1] for text in request.texts], "<f4")
        vectors = base64.b64encode(rows.tobytes()).decode()
        return QueryVectors(space=request.space, dimension=2, vectors=vectors).encode()


async def test_questions_of_one_space_travel_together() -> None:
    embedder = Embedder()
    encode = NatsEncoder(embedder, 2.0)
    vectors = await encode([("a", "xx"), ("b", "y"), ("a", "zzz"), ("a", "xx")])
    assert [vector.tolist() for vector in vectors] == [[2, 1], [1, 1], [3, 1], [2, 1]]
    assert [(request.space, request.texts) for request in embedder.requests] == [
        ("a", ("xx", "zzz")),
        ("b", ("y",)),
    ]


@pytest.mark.parametrize(
    "outage",
    [
        TimeoutError(),
        nats.errors.NoRespondersError(),
        nats.errors.ConnectionClosedError(),
        b"{",
        QueryVectors(space="a", error="overloaded").encode(),
        QueryVectors(space="b", dimension=2, vectors=base64.b64encode(bytes(8)).decode()).encode(),
        QueryVectors(space="a", dimension=3, vectors=base64.b64encode(bytes(8)).decode()).encode(),
        json.dumps({"space": "a", "dimension": 2, "vectors": "%%"}).encode(),
    ],
)
async def test_one_failure_is_retried_and_a_second_is_final(outage: Exception | bytes) -> None:
    embedder = Embedder(outage)
    (vector,) = await NatsEncoder(embedder, 2.0)([("a", "xx")])
    assert vector.tolist() == [2, 1]
    embedder = Embedder(outage, outage)
    with pytest.raises(EncoderUnavailable):
        await NatsEncoder(embedder, 2.0)([("a", "xx")])
    assert len(embedder.requests) == TRIES


class CountedSpaces(FakeSpaces):
    reads = 0

    async def active(self) -> FakeSpace:
        self.reads += 1
        return await super().active()

    async def get(self, name: str) -> FakeSpace:
        self.reads += 1
        return await super().get(name)


async def test_spaces_are_remembered_and_the_active_one_is_read_again() -> None:
    now = 0.0
    registry = CountedSpaces()
    spaces = RememberedSpaces(registry, clock=lambda: now)
    assert await spaces.active() is await spaces.active()
    assert registry.reads == 1
    now = ACTIVE_SECONDS
    registry.space = FakeSpace("e5")
    assert (await spaces.active()).name == "e5"
    assert await spaces.get("e5") is await spaces.get("e5")
    assert registry.reads == 3
