"""A query whose answer is too large for one message."""

import time
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry
from retriever_fakes import (
    FakeCollections,
    FakeEncoder,
    FakePassage,
    FakePassages,
    FakeProposer,
    FakeSpaces,
    FakeSparse,
)

from rag_common.broker import Job, MessageTooLarge
from rag_common.contracts import (
    MAX_MESSAGE_BYTES,
    Message,
    PassagesFound,
    QueryFailed,
    RetrievePassages,
)
from rag_retriever.domain.index import ChunkKey
from rag_retriever.domain.questions import QuestionEncoder
from rag_retriever.domain.search import Search
from rag_retriever.handlers import QueryMetrics, query_handler


class LargePassages(FakePassages):
    """Each passage has a text of ``size`` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    async def admitted(
        self,
        tenant: str,
        principals: Sequence[str],
        collections: Sequence[str],
        proposed: Sequence[ChunkKey],
    ) -> dict[tuple[str, int, int], FakePassage]:
        return {key: FakePassage("a" * self._size) for key in proposed}


class Replies:
    """Takes messages of at most ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.sent: list[Message] = []

    async def __call__(self, reply_to: str, message: Message) -> None:
        if len(message.encode()) > self._limit:
            raise MessageTooLarge("too large")
        self.sent.append(message)


async def answer(passage_bytes: int, reply_bytes: int = MAX_MESSAGE_BYTES) -> Message:
    encode = QuestionEncoder(FakeSpaces(), FakeSparse(), FakeEncoder())
    search = Search(encode, FakeCollections(), LargePassages(passage_bytes), FakeProposer(100))
    replies = Replies(reply_bytes)
    query = RetrievePassages(
        query_id="q",
        reply_to="reply",
        deadline=time.time() + 10,
        tenant="acme",
        principals=("user:alice",),
        question="keys",
        limit=100,
    )
    job = Job(subject="query.retrieve", stream="QUERY", sequence=1, time_ns=time.time_ns(), attempt=1)
    await query_handler(search, replies, QueryMetrics(CollectorRegistry()))(query, job)
    (message,) = replies.sent
    return message


async def test_the_best_passages_are_answered() -> None:
    message = await answer(50_000)
    assert isinstance(message, PassagesFound)
    assert [passage.chunk_no for passage in message.passages] == list(range(10))
    assert message.reason == "only 10 of 100 passages fit into one answer"
    assert "queue" in message.timings_ms


@pytest.mark.parametrize(
    ("passage_bytes", "reply_bytes"), [(MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES), (50_000, 1000)]
)
async def test_what_cannot_be_sent_at_all_fails_the_query(passage_bytes: int, reply_bytes: int) -> None:
    """The second: a server whose max_payload is below our own limit."""
    message = await answer(passage_bytes, reply_bytes)
    assert isinstance(message, QueryFailed)
    assert message.code == "message_too_large"
