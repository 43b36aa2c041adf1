"""The running service on a real NATS; the model is the shipped fake."""

import asyncio
import base64
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import nats
import numpy as np
import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError
from numpy.typing import NDArray
from starlette.applications import Starlette

from rag_common.contracts import (
    ChunkText,
    DeadLetter,
    DocumentRef,
    EmbedChunks,
    EmbedQuery,
    IndexChunks,
    Lane,
    PassageScores,
    QueryVectors,
    RerankPassages,
)
from rag_common.provision import provision
from rag_common.testing import NatsServer, nats_users
from rag_common.testing.encoder import HashEncoder
from rag_common.topology import Topology
from rag_embedder.adapters.models import LoadedModels
from rag_embedder.app import create_app
from rag_embedder.domain import SpaceModel
from rag_embedder.settings import EmbedderSettings

SPACE = "all-minilm-l6-v2"
OTHER_SPACE = "multilingual-e5-small"
POISON = "poison"
RERANKER = "cross-encoder/words"


class GatedEncoder(HashEncoder):
    """The fake encoder, which also knows a poisonous text and can be held up by its ``gate``."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        [[self._poison]] = self.tokenize([POISON])

    def encode(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        assert self.gate.wait(30)
        if any(self._poison in tokens for tokens in batch):
            raise RuntimeError("a poisonous text")
        return super().encode(batch)


class PairEncoder:
    """A cross-encoder that counts the words that question and passage share."""

    dimension = 1

    def tokenize(self, texts: Sequence[tuple[str, str]]) -> list[list[str]]:
        return [[question, passage] for question, passage in texts]

    def encode(self, batch: Sequence[list[str]]) -> NDArray[np.float32]:
        if any(POISON in pair for pair in batch):
            raise RuntimeError("a poisonous text")
        shared = [set(question.split()) & set(passage.split()) for question, passage in batch]
        return np.array([[len(words)] for words in shared], np.float32)


@pytest.fixture
def encoder() -> Iterator[GatedEncoder]:
    encoder = GatedEncoder()
    yield encoder
    encoder.gate.set()


@pytest.fixture
def embedder_settings(provisioned: Topology, nats_server: NatsServer) -> EmbedderSettings:
    return EmbedderSettings(namespace=provisioned.namespace, nats_url=nats_server.url, graceful_timeout=5)


@pytest.fixture
async def app(embedder_settings: EmbedderSettings, encoder: GatedEncoder) -> AsyncIterator[Starlette]:
    async with running(embedder_settings, encoder) as app:
        yield app


@asynccontextmanager
async def running(settings: EmbedderSettings, encoder: HashEncoder) -> AsyncIterator[Starlette]:
    app = create_app(settings, lambda settings: loaded(settings, encoder))
    async with app.router.lifespan_context(app):
        await eventually(lambda: ready(app))
        yield app


def loaded(settings: EmbedderSettings, encoder: HashEncoder) -> LoadedModels:
    """One fake model for all spaces; the reranker counts the words that question and text share."""
    spaces = tuple(SpaceModel(settings.space(name), encoder) for name in settings.spaces)
    return LoadedModels(spaces, workers=2, reranker=PairEncoder() if settings.reranker else None)


async def eventually(check: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(20):
        while not await check():  # noqa: ASYNC110 - the server does not tell when it is done
            await asyncio.sleep(0.02)


async def ready(app: Starlette) -> bool:
    return (await get(app, "/readyz")).status_code == 200


async def holds(app: Starlette, consumer: str, jobs: int) -> bool:
    return f'consumer="{consumer}"}} {float(jobs)}' in (await get(app, "/metrics")).text


async def get(app: Starlette, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://embedder") as client:
        return await client.get(path)


class Neighbours:
    """Ingest and retriever: who sends to the embedder, and who receives from it."""

    def __init__(self, topology: Topology, client: Client) -> None:
        self.topology = topology
        self.client = client
        self.jetstream = client.jetstream()

    async def send(self, *texts: str, lane: Lane = "bulk", space: str = SPACE, batch: int = 0) -> EmbedChunks:
        message = EmbedChunks(
            document=DocumentRef(tenant="default", document_id=str(uuid.uuid4()), generation=2),
            lane=lane,
            space=space,
            batch=batch,
            chunks=tuple(ChunkText(no=10 + no, text=text) for no, text in enumerate(texts)),
        )
        await self.send_bytes(message.encode(), lane=lane)
        return message

    async def send_bytes(self, body: bytes, *, lane: Lane = "bulk") -> None:
        await self.jetstream.publish(self.topology.subject(EmbedChunks, lane=lane), body)

    async def indexed(self, count: int) -> list[IndexChunks]:
        """What the retriever was told to index, once there are ``count`` such commands."""
        return [IndexChunks.decode(body) for body in await self._read("INDEX", count)]

    async def dead_letters(self, count: int) -> list[DeadLetter]:
        return [DeadLetter.decode(body) for body in await self._read("DLQ", count)]

    async def _read(self, name: str, count: int) -> list[bytes]:
        stream = self.topology.stream(name)

        async def enough() -> bool:
            return (await self.jetstream.stream_info(stream)).state.messages >= count

        await eventually(enough)
        last = (await self.jetstream.stream_info(stream)).state.last_seq
        messages = [await self.jetstream.get_msg(stream, sequence) for sequence in range(1, last + 1)]
        assert len(messages) == count
        return [message.data or b"" for message in messages]

    async def count(self, name: str) -> int:
        """Messages in the stream."""
        return (await self.jetstream.stream_info(self.topology.stream(name))).state.messages

    async def idle(self) -> None:
        """Wait until every job is acked."""

        async def empty() -> bool:
            info = await self.jetstream.stream_info(self.topology.stream("EMBED"))
            return info.state.messages == 0

        await eventually(empty)

    async def rerank(self, body: bytes) -> PassageScores:
        subject = self.topology.subject(RerankPassages)
        return PassageScores.decode((await self.client.request(subject, body, timeout=20)).data)

    async def ask(self, body: bytes) -> QueryVectors:
        subject = self.topology.subject(EmbedQuery)
        return QueryVectors.decode((await self.client.request(subject, body, timeout=20)).data)


@pytest.fixture
def neighbours(provisioned: Topology, nats_client: Client) -> Neighbours:
    return Neighbours(provisioned, nats_client)


def matrix(message: IndexChunks | QueryVectors) -> NDArray[np.float32]:
    return np.frombuffer(message.vector_bytes(), "<f4").reshape(-1, message.dimension)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("lane", ["interactive", "bulk"])
async def test_a_batch_of_chunks_becomes_a_batch_of_vectors(neighbours: Neighbours, lane: Lane) -> None:
    texts = ["the longest of all these texts", "short", "двадцать восемь дней отпуска"]
    sent = await neighbours.send(*texts, lane=lane, batch=3)
    [command] = await neighbours.indexed(1)
    assert (command.document, command.space, command.batch) == (sent.document, SPACE, 3)
    assert command.numbers == (10, 11, 12)
    assert matrix(command) == pytest.approx(HashEncoder().vectors(texts))
    await neighbours.idle()


@pytest.mark.usefixtures("app")
async def test_many_batches_at_once_keep_their_own_vectors(neighbours: Neighbours) -> None:
    sent = {}
    for number in range(100):
        texts = [f"document {number} chunk {chunk} " + "word " * (number % 7) for chunk in range(5)]
        message = await neighbours.send(*texts, lane="bulk" if number % 3 else "interactive")
        sent[message.document.document_id] = texts
    for command in await neighbours.indexed(100):
        expected = HashEncoder().vectors(sent.pop(command.document.document_id))
        assert matrix(command) == pytest.approx(expected)
    assert not sent
    await neighbours.idle()


@pytest.mark.usefixtures("app")
async def test_the_same_batch_again_is_published_again(neighbours: Neighbours) -> None:
    message = await neighbours.send("one text")
    await neighbours.send_bytes(message.encode())
    first, second = await neighbours.indexed(2)
    assert first == second
    await neighbours.idle()


async def test_chunks_of_another_space_wait_for_an_embedder_that_serves_it(
    neighbours: Neighbours, embedder_settings: EmbedderSettings, encoder: GatedEncoder
) -> None:
    async with running(embedder_settings, encoder) as app:
        sent = await neighbours.send("a text", space=OTHER_SPACE)
        await eventually(lambda: holds(app, "embedder-bulk", 1))
        await neighbours.send("another text")
        [command] = await neighbours.indexed(1)
        assert command.space == SPACE
    assert await neighbours.count("DLQ") == 0
    both = embedder_settings.model_copy(update={"spaces": (SPACE, OTHER_SPACE)})
    async with running(both, encoder):
        _, command = await neighbours.indexed(2)
        await neighbours.idle()
    assert (command.document, command.space) == (sent.document, OTHER_SPACE)
    assert matrix(command) == pytest.approx(HashEncoder().vectors(["passage: a text"]))


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"lane": "bulk"}'])
async def test_a_job_that_does_not_decode_is_a_dead_letter(neighbours: Neighbours, body: bytes) -> None:
    await neighbours.send_bytes(body)
    await neighbours.send("a text")
    [letter] = await neighbours.dead_letters(1)
    assert (letter.stage, letter.code) == ("embed", "bad_message")
    assert base64.b64decode(letter.body) == body
    await neighbours.indexed(1)
    await neighbours.idle()


async def test_a_poisonous_text_fails_its_batch_and_no_other(
    neighbours: Neighbours, app: Starlette, encoder: GatedEncoder
) -> None:
    encoder.gate.clear()
    poisonous = await neighbours.send(POISON)
    good = [await neighbours.send(f"text {number}") for number in range(5)]
    encoder.gate.set()
    [letter] = await neighbours.dead_letters(1)
    assert (letter.code, letter.document) == ("encoding_failed", poisonous.document)
    assert "a poisonous text" in letter.stack
    commands = await neighbours.indexed(5)
    assert {command.document.document_id for command in commands} == {
        message.document.document_id for message in good
    }
    await neighbours.idle()


@pytest.mark.usefixtures("app")
async def test_questions_are_answered_with_vectors(neighbours: Neighbours) -> None:
    texts = ("how many days of leave", "сколько дней", "leave?")
    answers = await asyncio.gather(
        *(neighbours.ask(EmbedQuery(space=SPACE, texts=texts[:n]).encode()) for n in (1, 2, 3) * 20)
    )
    for answer, count in zip(answers, (1, 2, 3) * 20, strict=True):
        assert (answer.error, answer.space, answer.dimension) == (None, SPACE, 384)
        assert matrix(answer) == pytest.approx(HashEncoder().vectors(texts[:count]))


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "not a request"),
        (b"\xff\xfe\x00", "not a request"),
        (EmbedQuery.model_construct(space=SPACE, texts=()).encode(), "not a request"),
        (EmbedQuery(space=OTHER_SPACE, texts=("a",)).encode(), OTHER_SPACE),
        (EmbedQuery(space=SPACE, texts=(POISON,)).encode(), "poisonous"),
    ],
)
async def test_a_bad_question_gets_an_answer_too(neighbours: Neighbours, body: bytes, problem: str) -> None:
    answer = await neighbours.ask(body)
    assert problem in (answer.error or "")
    assert answer.vectors == ""


async def test_a_question_that_waits_too_long_is_told_so(
    neighbours: Neighbours, embedder_settings: EmbedderSettings, encoder: GatedEncoder
) -> None:
    impatient = embedder_settings.model_copy(update={"query_timeout": 0.05})
    encoder.gate.clear()
    async with running(impatient, encoder):
        answer = await neighbours.ask(EmbedQuery(space=SPACE, texts=("a",)).encode())
        encoder.gate.set()
    assert "waited more than" in (answer.error or "")


async def test_each_space_has_its_own_prefixes(
    neighbours: Neighbours, embedder_settings: EmbedderSettings, encoder: GatedEncoder
) -> None:
    both = embedder_settings.model_copy(update={"spaces": (SPACE, OTHER_SPACE)})
    async with running(both, encoder):
        for space, passage, query in ((SPACE, "", ""), (OTHER_SPACE, "passage: ", "query: ")):
            await neighbours.send("a text", space=space)
            answer = await neighbours.ask(EmbedQuery(space=space, texts=("a text",)).encode())
            assert matrix(answer) == pytest.approx(HashEncoder().vectors([query + "a text"]))
            sentence = EmbedQuery(space=space, side="passage", texts=("a text",))
            answer = await neighbours.ask(sentence.encode())
            assert matrix(answer) == pytest.approx(HashEncoder().vectors([passage + "a text"]))
            command = (await neighbours.indexed(1 if space == SPACE else 2))[-1]
            assert command.space == space
            assert matrix(command) == pytest.approx(HashEncoder().vectors([passage + "a text"]))


@pytest.fixture
async def reranking(embedder_settings: EmbedderSettings, encoder: GatedEncoder) -> AsyncIterator[Starlette]:
    update = {"reranker": RERANKER, "reranker_path": Path("/unused")}
    async with running(embedder_settings.model_copy(update=update), encoder) as app:
        yield app


@pytest.mark.usefixtures("reranking")
async def test_passages_are_scored_in_their_order(neighbours: Neighbours) -> None:
    request = RerankPassages(model=RERANKER, question="red keys", texts=("keys", "the red keys", "doors"))
    answer = await neighbours.rerank(request.encode())
    assert (answer.model, answer.error, answer.scores) == (RERANKER, None, (1.0, 2.0, 0.0))


@pytest.mark.usefixtures("reranking")
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "not a request to rerank"),
        (RerankPassages(model="another", question="a", texts=("b",)).encode(), "not with 'another'"),
        (RerankPassages(model=RERANKER, question="a", texts=(POISON,)).encode(), "poisonous"),
    ],
)
async def test_a_bad_request_to_rerank_gets_an_answer_too(
    neighbours: Neighbours, body: bytes, problem: str
) -> None:
    answer = await neighbours.rerank(body)
    assert problem in (answer.error or "")
    assert answer.scores == ()


@pytest.mark.usefixtures("app")
async def test_without_a_reranker_nobody_answers(neighbours: Neighbours) -> None:
    with pytest.raises(NoRespondersError):
        await neighbours.rerank(RerankPassages(model=RERANKER, question="a", texts=("b",)).encode())


async def test_only_the_lanes_of_the_settings_are_served(
    neighbours: Neighbours, embedder_settings: EmbedderSettings, encoder: GatedEncoder
) -> None:
    question = EmbedQuery(space=SPACE, texts=("a",)).encode()
    async with running(embedder_settings.model_copy(update={"lanes": ("bulk",)}), encoder):
        waiting = await neighbours.send("interactive", lane="interactive")
        bulk = await neighbours.send("bulk", lane="bulk")
        [command] = await neighbours.indexed(1)
        assert command.document == bulk.document
        with pytest.raises(NoRespondersError):
            await neighbours.ask(question)
    async with running(embedder_settings.model_copy(update={"lanes": ("query", "interactive")}), encoder):
        await neighbours.send("bulk", lane="bulk")
        assert (await neighbours.ask(question)).error is None
        commands = await neighbours.indexed(2)
        assert commands[1].document == waiting.document


async def test_nothing_is_taken_before_the_model_is_loaded(
    neighbours: Neighbours, embedder_settings: EmbedderSettings, encoder: GatedEncoder
) -> None:
    loading, may_load = threading.Event(), threading.Event()

    def load(settings: EmbedderSettings) -> LoadedModels:
        loading.set()
        assert may_load.wait(30)
        return loaded(settings, encoder)

    app = create_app(embedder_settings, load)
    await neighbours.send("a text")

    async def serve() -> None:
        async with app.router.lifespan_context(app):
            await neighbours.indexed(1)

    service = asyncio.create_task(serve())
    assert await asyncio.to_thread(loading.wait, 30)
    assert not await ready(app)
    with pytest.raises(NoRespondersError):
        await neighbours.ask(EmbedQuery(space=SPACE, texts=("a",)).encode())
    consumer = neighbours.topology.consumer("embedder-bulk")
    info = await neighbours.jetstream.consumer_info(consumer.stream, consumer.name)
    assert info.delivered.consumer_seq == 0
    may_load.set()
    await service


async def test_metrics_tell_what_was_encoded(neighbours: Neighbours, app: Starlette) -> None:
    await neighbours.send("three words here", "one")
    await neighbours.indexed(1)
    await neighbours.ask(EmbedQuery(space=SPACE, texts=("two words",)).encode())
    metrics = (await get(app, "/metrics")).text
    assert 'rag_embedder_texts_total{priority="bulk"} 2.0' in metrics
    assert 'rag_embedder_tokens_total{priority="bulk"} 4.0' in metrics
    assert 'rag_embedder_tokens_total{priority="query"} 2.0' in metrics
    assert 'rag_embedder_wait_seconds_count{priority="query"} 1.0' in metrics
    assert 'rag_embedder_encode_seconds_total{priority="query"}' in metrics


async def test_the_permissions_of_its_nats_user_suffice(encoder: GatedEncoder) -> None:
    topology = Topology(f"t{uuid.uuid4().hex[:12]}")
    with NatsServer(users=nats_users(topology)) as server:
        operator = await nats.connect(server.url, user="operator", password="operator")
        await provision(operator.jetstream(), topology)
        retriever = await nats.connect(
            server.url, user="retriever", password="retriever", inbox_prefix=b"_INBOX_retriever"
        )
        settings = EmbedderSettings(
            namespace=topology.namespace,
            nats_url=server.url,
            nats_user="embedder",
            nats_password="embedder",
            graceful_timeout=5,
            reranker=RERANKER,
            reranker_path=Path("/unused"),
        )
        async with running(settings, encoder):
            neighbours = Neighbours(topology, operator)
            await neighbours.send("a text")
            await neighbours.indexed(1)
            await neighbours.send_bytes(b"{", lane="interactive")
            await neighbours.dead_letters(1)
            await neighbours.idle()
            question = EmbedQuery(space=SPACE, texts=("a",)).encode()
            asking = Neighbours(topology, retriever)
            assert (await asking.ask(question)).error is None
            pairs = RerankPassages(model=RERANKER, question="a", texts=("a",)).encode()
            assert (await asking.rerank(pairs)).scores == (1.0,)
        await retriever.close()
        await operator.close()
