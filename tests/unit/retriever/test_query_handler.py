"""What becomes of a query: a reply, a command to the generator, a failure, or nothing."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from retriever_fakes import (
    FakeCollections,
    FakeEncoder,
    FakePassage,
    FakePassages,
    FakeProposer,
    FakeRewriter,
    FakeSpaces,
    FakeSparse,
)

from rag_common.broker import Job, MessageTooLarge
from rag_common.contracts import (
    MAX_MESSAGE_BYTES,
    AnswerOptions,
    GenerateAnswer,
    Message,
    PassagesFound,
    QueryFailed,
    RetrievePassages,
    Turn,
)
from rag_retriever.domain.index import ChunkKey
from rag_retriever.domain.questions import QuestionEncoder
from rag_retriever.domain.search import Search
from rag_retriever.domain.standalone import StandaloneQuestion
from rag_retriever.handlers import QueryHandler, QueryMetrics, unless_cancelled


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


class Outbox:
    """Takes messages of at most ``limit`` bytes."""

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        self._limit = limit
        self.sent: list[Message] = []
        self.ids: list[str] = []

    async def reply(self, reply_to: str, message: Message) -> None:
        if len(message.encode()) > self._limit:
            raise MessageTooLarge("too large")
        self.sent.append(message)

    async def publish(self, message: Message, *, msg_id: str, **tokens: str) -> None:
        self.ids.append(msg_id)
        await self.reply("", message)


class FullOutbox(Outbox):
    """The generator's queue never has room."""

    async def publish(self, message: Message, *, msg_id: str, **tokens: str) -> None:
        await asyncio.Event().wait()


class Harness:
    """A handler over passages of so many bytes, with its neighbours."""

    def __init__(self, passage_bytes: int = 10, outbox: Outbox | None = None) -> None:
        encode = QuestionEncoder(FakeSpaces(), FakeSparse(), FakeEncoder())
        search = Search(encode, FakeCollections(), LargePassages(passage_bytes), FakeProposer(100))
        self.rewriter = FakeRewriter()
        self.outbox = outbox or Outbox()
        self.metrics = QueryMetrics(CollectorRegistry())
        self.handle = QueryHandler(StandaloneQuestion(self.rewriter), search, self.outbox, self.metrics)

    async def __call__(self, *, attempt: int = 1, seconds: float = 10, **fields: Any) -> list[Message]:
        query = RetrievePassages(
            query_id="q",
            reply_to="reply",
            deadline=time.time() + seconds,
            tenant="acme",
            principals=("user:alice",),
            **({"question": "keys", "limit": 100} | fields),
        )
        await self.handle(query, job(attempt))
        return self.outbox.sent

    async def command(self, **fields: Any) -> GenerateAnswer:
        (message,) = await self(**({"answer": AnswerOptions()} | fields))
        assert isinstance(message, GenerateAnswer), message
        return message


def job(attempt: int = 1) -> Job:
    return Job(subject="query.retrieve", stream="QUERY", sequence=1, time_ns=time.time_ns(), attempt=attempt)


def options(*history: tuple[str, str], **fields: Any) -> AnswerOptions:
    turns = tuple(Turn(question=question, answer=answer) for question, answer in history)
    return AnswerOptions(history=turns, **fields)


async def test_the_best_passages_are_answered() -> None:
    (message,) = await Harness(50_000)()
    assert isinstance(message, PassagesFound)
    assert [passage.chunk_no for passage in message.passages] == list(range(10))
    assert message.reason == "only 10 of 100 passages fit into one answer"
    assert "queue" in message.timings_ms


@pytest.mark.parametrize(
    ("passage_bytes", "reply_bytes"), [(MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES), (50_000, 1000)]
)
async def test_what_cannot_be_sent_at_all_fails_the_query(passage_bytes: int, reply_bytes: int) -> None:
    """The second: a server whose max_payload is below our own limit."""
    (message,) = await Harness(passage_bytes, Outbox(reply_bytes))()
    assert isinstance(message, QueryFailed)
    assert message.code == "message_too_large"


async def test_an_answer_comes_from_the_generator() -> None:
    harness = Harness()
    wanted = options(max_tokens=100, grounding=True)
    command = await harness.command(answer=wanted, attempt=2, limit=3, seconds=20)
    assert (command.query_id, command.reply_to, command.attempt) == ("q", "reply", 2)
    assert (command.question, command.standalone, command.options) == ("keys", "keys", wanted)
    assert [passage.chunk_no for passage in command.found.passages] == [0, 1, 2]
    assert command.found.timings_ms.keys() == {"queue", "encode", "index", "registry"}
    assert command.deadline == pytest.approx(time.time() + 20, abs=5)
    assert harness.outbox.ids == ["generate:q"]
    assert harness.rewriter.asked == []


async def test_a_follow_up_is_searched_as_the_model_has_rewritten_it() -> None:
    harness = Harness()
    harness.rewriter.answer = "Where is the canteen?"
    history = (("When does the canteen open?", "At noon [1]."),)
    command = await harness.command(question="And where is it?", answer=options(*history))
    assert (command.question, command.standalone) == ("And where is it?", "Where is the canteen?")
    assert "rewrite" in command.found.timings_ms
    assert harness.metrics.rewritten.labels("model")._value.get() == 1
    ((request, within),) = harness.rewriter.asked
    assert (request.query_id, request.question, len(request.history)) == ("q", "And where is it?", 1)
    assert 0 < within < 10


async def test_what_does_not_fit_beside_the_conversation_is_left_out() -> None:
    alone = await Harness(50_000).command()
    long = options(*(("question", "answer " * 3000) for _ in range(10)))
    beside = await Harness(50_000).command(answer=long)
    for command in (alone, beside):
        assert len(command.encode()) <= MAX_MESSAGE_BYTES
        kept = len(command.found.passages)
        assert command.found.reason == f"only {kept} of 100 passages fit into one answer"
    assert 0 < len(beside.found.passages) < len(alone.found.passages)
    assert beside.options == long


async def test_an_answer_that_cannot_be_asked_for_fails_the_query() -> None:
    (message,) = await Harness(MAX_MESSAGE_BYTES)(answer=AnswerOptions())
    assert isinstance(message, QueryFailed)
    assert message.code == "message_too_large"


async def test_a_question_waits_for_room_until_its_deadline() -> None:
    harness = Harness(outbox=FullOutbox())
    assert await harness(answer=AnswerOptions(), seconds=0.2) == []
    assert harness.metrics.expired._value.get() == 1


async def test_a_late_follow_up_is_dropped_and_no_model_asked() -> None:
    harness = Harness()
    assert await harness(answer=options(("a", "b")), seconds=-1) == []
    assert harness.rewriter.asked == []
    assert harness.metrics.expired._value.get() == 1


async def test_a_failed_search_is_told_to_whoever_wants_an_answer() -> None:
    (message,) = await Harness()(answer=AnswerOptions(), rerank=True)
    assert isinstance(message, QueryFailed)
    assert message.code == "no_reranker"


async def test_a_cancelled_query_is_not_begun() -> None:
    async def cancelled(query_id: str, work: Coroutine[Any, Any, None]) -> bool:
        work.close()
        return False

    harness = Harness()
    query = RetrievePassages(
        query_id="q", reply_to="r", deadline=1, tenant="acme", principals=("*",), question="keys"
    )
    await unless_cancelled(cancelled, harness.handle, harness.metrics)(query, job())
    assert harness.outbox.sent == []
    assert harness.metrics.cancelled._value.get() == 1
