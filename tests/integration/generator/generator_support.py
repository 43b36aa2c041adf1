"""A running generator with a scripted model, and the gateway that it answers to."""

import asyncio
import base64
import time
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import httpx
import numpy as np
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import Field, TypeAdapter

from rag_common.broker import flush
from rag_common.contracts import (
    Adapter,
    AnswerDelta,
    AnswerDone,
    AnswerOpened,
    AnswerOptions,
    AnswerWanted,
    CancelQuery,
    EmbedQuery,
    GenerateAnswer,
    Message,
    Passage,
    PassagesFound,
    QueryFailed,
    QueryVectors,
)
from rag_common.topology import Topology
from rag_generator.app import create_app
from rag_generator.domain.breaker import Breaker
from rag_generator.domain.choosing import Models
from rag_generator.domain.guarding import GuardedLLM
from rag_generator.domain.llm import ModelMissing, Piece, Prompt
from rag_generator.settings import GeneratorSettings

QUESTION = "How many days of leave does everyone have?"
TEXT = "Everyone has 28 days of leave a year."
GATEWAY = "g1"
PATIENCE = 20.0
"""Seconds after which a test gives up."""

Frame = AnswerOpened | AnswerDelta | AnswerDone | QueryFailed
_FRAME: TypeAdapter[Frame] = TypeAdapter(Annotated[Frame, Field(discriminator="kind")])
F = TypeVar("F", bound=Message)

Step = str | Exception | asyncio.Event
"""A token, a failure, or a pause until the event is set."""


class ScriptedLLM:
    """A model that writes the scripts that it is given, one for each prompt; the last one for all others."""

    adapter: Adapter = "openai"
    model = "scripted"
    context_tokens = 4096

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self._scripts = deque(scripts)
        self.prompts: list[Prompt] = []
        self.running = 0
        self.closed = asyncio.Event()
        """Set whenever a text has ended, or was given up."""
        self.problem: Exception | None = None

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        self.prompts.append(prompt)
        script = self._scripts[0] if len(self._scripts) == 1 else self._scripts.popleft()
        self.running += 1
        self.closed.clear()
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield Piece(step)
                    await asyncio.sleep(0)
            yield Piece("", finish="stop", prompt_tokens=100, completion_tokens=len(script))
        finally:
            self.running -= 1
            self.closed.set()

    async def models(self) -> tuple[str, ...]:
        if self.problem is not None:
            raise self.problem
        return (self.model,)

    def missing(self, names: Sequence[str]) -> ModelMissing | None:
        return None

    async def needs_loading(self) -> bool:
        return False

    async def load(self) -> None:
        return None


class Gateway:
    """Keeps what arrives for each question, and says which answers are ``unwanted``."""

    def __init__(self, client: Client, topology: Topology) -> None:
        self._client = client
        self.topology = topology
        self._arrived = asyncio.Event()
        self.frames: defaultdict[str, list[Frame]] = defaultdict(list)
        self.asked: defaultdict[str, list[Frame]] = defaultdict(list)
        """Those that were requests."""
        self.unwanted: set[str] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Gateway"]:
        """While the context lasts; afterwards the gateway is gone."""
        pattern = self.topology.pattern(AnswerOpened, gateway=GATEWAY)
        subscription = await self._client.subscribe(pattern, cb=self._receive)
        await flush(self._client)
        try:
            yield self
        finally:
            await subscription.unsubscribe()
            await flush(self._client)

    async def ask(self, **changes: Any) -> str:
        """Publish a question as the retriever does; its id."""
        message = question(self.topology, **changes)
        await self.publish(message)
        return message.query_id

    async def publish(self, message: GenerateAnswer) -> None:
        await self._client.jetstream().publish(self.topology.subject(GenerateAnswer), message.encode())

    async def cancel(self, query_id: str) -> None:
        subject = self.topology.subject(CancelQuery, query=query_id)
        await self._client.publish(subject, CancelQuery(query_id=query_id).encode())
        await flush(self._client)

    async def request(self, message: Message, reply: type[F]) -> F:
        answer = await self._client.request(
            self.topology.subject(type(message)), message.encode(), timeout=PATIENCE
        )
        return reply.decode(answer.data)

    async def ended(self, query_id: str) -> list[Frame]:
        """All frames of a question, when the last one has come."""
        await self.until(lambda: bool(self._of(query_id, AnswerDone) + self._of(query_id, QueryFailed)))
        return self.frames[query_id]

    async def text(self, query_id: str) -> str:
        """What a client is shown in the end; fails if a piece is missing, twice there or out of order."""
        text, expected, attempt = "", 0, 0
        for frame in await self.ended(query_id):
            if isinstance(frame, QueryFailed):
                raise AssertionError(frame)
            if isinstance(frame, AnswerOpened):
                assert frame.attempt > attempt
                text, expected, attempt = "", 1, frame.attempt
                continue
            assert (frame.attempt, frame.sequence) == (attempt, expected)
            expected += 1
            text += frame.text if isinstance(frame, AnswerDelta) else ""
        return text

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for arrivals that make the condition true."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()

    async def begun(self, query_id: str) -> None:
        """When some text has come."""
        await self.until(lambda: any(delta.text for delta in self._of(query_id, AnswerDelta)))

    def opened(self, query_id: str) -> list[AnswerOpened]:
        return self._of(query_id, AnswerOpened)

    def done(self, query_id: str) -> AnswerDone:
        [done] = self._of(query_id, AnswerDone)
        return done

    def citations(self, query_id: str) -> list[int]:
        return [citation.n for delta in self._of(query_id, AnswerDelta) for citation in delta.citations]

    def _of(self, query_id: str, kind: type[F]) -> list[F]:
        return [frame for frame in self.frames[query_id] if isinstance(frame, kind)]

    async def _receive(self, message: Msg) -> None:
        query_id = message.subject.rpartition(".")[2]
        frame = _FRAME.validate_json(message.data)
        self.frames[query_id].append(frame)
        if message.reply:
            self.asked[query_id].append(frame)
            await message.respond(AnswerWanted(wanted=query_id not in self.unwanted).encode())
        self._arrived.set()


@asynccontextmanager
async def embedder(client: Client, topology: Topology) -> AsyncIterator[list[EmbedQuery]]:
    """Finds all texts alike; yields the requests that it got."""
    requests: list[EmbedQuery] = []

    async def answer(message: Msg) -> None:
        requests.append(request := EmbedQuery.decode(message.data))
        vectors = base64.b64encode(np.ones((len(request.texts), 1), "<f4").tobytes()).decode()
        await message.respond(QueryVectors(space=request.space, dimension=1, vectors=vectors).encode())

    subscription = await client.subscribe(topology.subject(EmbedQuery), cb=answer)
    await flush(client)
    try:
        yield requests
    finally:
        await subscription.unsubscribe()


def passage(text: str = TEXT, **changes: Any) -> Passage:
    """A passage that both legs have found."""
    return Passage(
        **{
            "document_id": str(uuid.uuid5(uuid.NAMESPACE_OID, text)),
            "generation": 1,
            "collection": "handbook",
            "title": "Leave",
            "source_uri": "file:///leave.md",
            "chunk_no": 0,
            "start": 0,
            "end": len(text),
            "heading": ("Leave",),
            "text": text,
            "score": 0.03,
            "ranks": {"dense": 1, "sparse": 1},
            "leg_scores": {"dense": 0.9, "sparse": 25.0},
            **changes,
        }
    )


def question(
    topology: Topology,
    *,
    question: str = QUESTION,
    passages: Sequence[Passage] | None = None,
    seconds: float = 60.0,
    attempt: int = 1,
    options: AnswerOptions | None = None,
) -> GenerateAnswer:
    """``seconds`` from now until the deadline."""
    query_id = uuid.uuid4().hex
    found = PassagesFound(
        query_id=query_id,
        passages=(passage(),) if passages is None else tuple(passages),
        mode="hybrid",
        space="all-minilm-l6-v2",
        timings_ms={"queue": 1.0, "index": 2.0},
    )
    return GenerateAnswer(
        query_id=query_id,
        reply_to=topology.subject(AnswerOpened, gateway=GATEWAY, query=query_id),
        deadline=time.time() + seconds,
        attempt=attempt,
        question=question,
        standalone=question,
        found=found,
        options=options or AnswerOptions(),
    )


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """:raises TimeoutError: it does not become true."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - the server does not tell when it is done
            await asyncio.sleep(0.02)


class Generator:
    """A running generator as its probes and its consumer show it."""

    def __init__(self, http: httpx.AsyncClient, client: Client, topology: Topology) -> None:
        self.http = http
        self._client = client
        self._consumer = topology.consumer("generator")

    async def is_ready(self) -> bool:
        return (await self.http.get("/readyz")).status_code == 200

    async def idle(self) -> None:
        """When every question has been dealt with."""
        await eventually(self._is_idle)

    async def metric(self, name: str) -> float:
        """The sum over all labels."""
        lines = (await self.http.get("/metrics")).text.splitlines()
        own = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in own)

    async def _is_idle(self) -> bool:
        info = await self._client.jetstream().consumer_info(self._consumer.stream, self._consumer.name)
        return not info.num_pending and not info.num_ack_pending


@asynccontextmanager
async def running_generator(
    url: str, client: Client, topology: Topology, llm: ScriptedLLM | None, **settings: Any
) -> AsyncIterator[Generator]:
    """With that model, or without any."""

    @asynccontextmanager
    async def open_models(_: GeneratorSettings) -> AsyncIterator[Models]:
        guarded = GuardedLLM(llm, Breaker(), concurrency=4, first_token=60.0, idle=60.0) if llm else None
        models = Models(guarded)
        await models.refresh()
        yield models

    values = {"graceful_timeout": 5.0, "answer_workers": 4, "encode_timeout": 0.2, **settings}
    app = create_app(GeneratorSettings(namespace=topology.namespace, nats_url=url, **values), open_models)
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://generator") as http,
        app.router.lifespan_context(app),
    ):
        generator = Generator(http, client, topology)
        await eventually(generator.is_ready)
        yield generator
