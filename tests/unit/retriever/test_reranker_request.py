"""What is asked of the embedder's cross-encoder, and what counts as an answer."""

import json

import nats.errors
import pytest

from rag_common.contracts import MAX_MESSAGE_BYTES, PassageScores, RerankPassages
from rag_common.errors import TransientError
from rag_retriever.adapters.reranker import MAX_CHARACTERS, NatsReranker
from rag_retriever.domain.ports import RerankerUnavailable


class Embedder:
    """Scores a text by its length; raises or answers ``instead``."""

    def __init__(self, instead: Exception | bytes | None = None) -> None:
        self._instead = instead
        self.requests: list[RerankPassages] = []
        self.bodies: list[bytes] = []
        self.seconds: list[float] = []

    async def __call__(self, body: bytes, seconds: float) -> bytes:
        self.bodies.append(body)
        self.seconds.append(seconds)
        request = RerankPassages.decode(body)
        self.requests.append(request)
        if isinstance(self._instead, Exception):
            raise self._instead
        scores = tuple(float(len(text)) for text in request.texts)
        return self._instead or PassageScores(model=request.model, scores=scores).encode()


async def test_scores_come_in_the_order_of_the_texts() -> None:
    embedder = Embedder()
    rerank = NatsReranker(embedder, "tiny", 3.0)
    assert await rerank("keys?", ["a", "bbb", ""], 10) == (1, 3, 0)
    assert embedder.requests == [RerankPassages(model="tiny", question="keys?", texts=("a", "bbb", ""))]
    await rerank("keys?", ["a"], 0.7)
    assert embedder.seconds == [3.0, 0.7]


async def test_long_texts_are_cut_between_words() -> None:
    embedder = Embedder()
    await NatsReranker(embedder, "tiny", 3.0)("q", ["word " * 1000, "x" * 9000], 10)
    words, letters = embedder.requests[0].texts
    assert words == "word " * 399 + "word"
    assert letters == "x" * MAX_CHARACTERS


async def test_a_request_fits_into_one_message() -> None:
    embedder = Embedder()
    await NatsReranker(embedder, "tiny", 3.0)("q", ["字" * 2000] * 128, 10)
    assert len(embedder.bodies[0]) <= MAX_MESSAGE_BYTES
    assert {len(text) for text in embedder.requests[0].texts} == {1000}


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        (TimeoutError(), "has not answered within 3 s"),
        (nats.errors.TimeoutError(), "has not answered within 3 s"),
        (nats.errors.NoRespondersError(), "no embedder with a reranker is running"),
        (nats.errors.ConnectionClosedError(), "NATS is unavailable"),
        (TransientError("not connected to NATS yet"), "NATS is unavailable"),
        (b"{", "do not decode"),
        (PassageScores(model="tiny", error="overloaded").encode(), "refuses: overloaded"),
        (PassageScores(model="other", scores=(1.0,)).encode(), "the model 'other'"),
        (PassageScores(model="tiny", scores=(1.0, 2.0)).encode(), "not 1 scores"),
        (json.dumps({"model": "tiny", "scores": [float("nan")]}).encode(), "not 1 scores"),
    ],
)
async def test_no_usable_answer(instead: Exception | bytes, reason: str) -> None:
    embedder = Embedder(instead)
    with pytest.raises(RerankerUnavailable, match=reason):
        await NatsReranker(embedder, "tiny", 3.0)("q", ["a"], 10)
    assert len(embedder.requests) == 1
