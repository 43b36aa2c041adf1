"""A running retriever, and the neighbours that it talks to."""

import asyncio
import base64
import hashlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from nats.aio.client import Client
from nats.aio.msg import Msg

from rag_common.broker import flush
from rag_common.contracts import (
    NOWHERE,
    AnswerOptions,
    DocumentRef,
    EmbedQuery,
    GenerateAnswer,
    IndexChunks,
    Message,
    PassagesFound,
    Place,
    QueryFailed,
    QueryVectors,
    RetrievePassages,
)
from rag_common.registry import Accepted, ChunkRow, NewContent, Registry, Upload
from rag_common.topology import Topology
from rag_retriever.app import create_app
from rag_retriever.settings import RetrieverSettings

TENANT = "default"
SPACE = "all-minilm-l6-v2"
DIMENSION = 384


def embed(text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A vector in which texts that share words are near each other."""
    vector = np.zeros(DIMENSION, np.float32)
    for word in text.lower().split():
        vector[int(hashlib.sha256(word.encode()).hexdigest(), 16) % DIMENSION] += 1
    return vector / max(1.0, float(np.linalg.norm(vector)))


def encoded(texts: Sequence[str]) -> str:
    return base64.b64encode(np.stack([embed(text) for text in texts]).astype("<f4").tobytes()).decode()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """:raises TimeoutError: it does not become true."""
    async with asyncio.timeout(20):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def embedder(client: Client, topology: Topology) -> AsyncIterator[list[EmbedQuery]]:
    """Answers ``embed.query``; yields the requests that it got."""
    requests: list[EmbedQuery] = []

    async def answer(message: Msg) -> None:
        request = EmbedQuery.decode(message.data)
        requests.append(request)
        reply = QueryVectors(space=request.space, dimension=DIMENSION, vectors=encoded(request.texts))
        await message.respond(reply.encode())

    subscription = await client.subscribe(topology.subject(EmbedQuery), cb=answer)
    await flush(client)
    yield requests
    await subscription.unsubscribe()


class Stack:
    """Does what gateway, ingest and embedder do, as far as the retriever sees it."""

    def __init__(
        self, client: Client, topology: Topology, registry: Registry, http: httpx.AsyncClient
    ) -> None:
        self.client = client
        self.topology = topology
        self.registry = registry
        self.http = http

    async def publish(self, message: Message) -> None:
        await self.client.jetstream().publish(self.topology.subject(type(message)), message.encode())

    async def accept(self, source_uri: str, sha256: str, **fields: Any) -> Accepted:
        content = NewContent("handbook", source_uri, sha256, 9, fields.pop("lane", "interactive"), **fields)
        uploads = [Upload(content, upload_id=uuid.uuid4().hex)]
        return (await self.registry.accepting.uploads(TENANT, uploads)).items[0]

    async def commit(
        self, document: DocumentRef, texts: Sequence[str], per_batch: int = 2, *, pages: bool = True
    ) -> list[IndexChunks]:
        """accepted → embedding; the batches as the embedder would publish them.

        Each chunk is a page of its own; without ``pages`` there is an empty line between them.
        """
        await self.registry.ingesting.begin(document, 1)
        starts = [sum(len(text) + 2 for text in texts[:no]) for no in range(len(texts))]
        rows = [
            ChunkRow(
                no,
                text,
                100 * no if pages else starts[no],
                (100 * no if pages else starts[no]) + len(text),
                Place(page=1 + no) if pages else NOWHERE,
                ("Chapter",),
                no // per_batch,
                None if pages or no == 0 else "\n\n",
            )
            for no, text in enumerate(texts)
        ]
        numbers = [
            range(start, min(start + per_batch, len(texts))) for start in range(0, len(texts), per_batch)
        ]
        await self.registry.ingesting.commit_chunks(
            document, rows, batches=len(numbers), fingerprint="pipeline"
        )
        return [
            IndexChunks(
                document=document,
                space=SPACE,
                batch=number,
                numbers=tuple(span),
                dimension=DIMENSION,
                vectors=encoded([texts[no] for no in span]),
            )
            for number, span in enumerate(numbers)
        ]

    async def add(
        self, source_uri: str, texts: Sequence[str], *, pages: bool = True, **fields: Any
    ) -> DocumentRef:
        """A document on its way into the index."""
        accepted = await self.accept(source_uri, hashlib.sha256(repr(texts).encode()).hexdigest(), **fields)
        for batch in await self.commit(accepted.document, texts, pages=pages):
            await self.publish(batch)
        return accepted.document

    async def add_live(self, source_uri: str, texts: Sequence[str], **fields: Any) -> DocumentRef:
        document = await self.add(source_uri, texts, **fields)
        await self.wait_for_state(document, "live")
        return document

    async def wait_for_state(self, document: DocumentRef, state: str) -> None:
        async def reached() -> bool:
            return await self.state(document) == state

        await eventually(reached)

    async def state(self, document: DocumentRef) -> str | None:
        async with self.registry.database.connection() as connection:
            state: str | None = await connection.fetchval(
                "SELECT state FROM generations WHERE document_id = $1 AND generation = $2",
                document.document_id,
                document.generation,
            )
        return state

    async def ask(self, question: str, **fields: Any) -> PassagesFound | QueryFailed:
        """The answer to a query; raises ``TimeoutError`` without one."""
        query_id = uuid.uuid4().hex
        reply_to = self.topology.subject(PassagesFound, gateway="test", query=query_id)
        replies = await self.client.subscribe(reply_to)
        await flush(self.client)
        defaults: dict[str, Any] = {
            "tenant": TENANT,
            "principals": ("user:alice",),
            "deadline": time.time() + 10,
        }
        await self.publish(
            RetrievePassages(query_id=query_id, reply_to=reply_to, question=question, **(defaults | fields))
        )
        try:
            body = (await replies.next_msg(timeout=15)).data
        finally:
            await replies.unsubscribe()
        kind = json.loads(body)["kind"]
        return PassagesFound.decode(body) if kind == "passages" else QueryFailed.decode(body)

    def query(self, question: str, **fields: Any) -> RetrievePassages:
        """Of somebody who waits for an answer; the reply subject is its own."""
        query_id = uuid.uuid4().hex
        defaults: dict[str, Any] = {
            "query_id": query_id,
            "reply_to": self.topology.subject(PassagesFound, gateway="test", query=query_id),
            "tenant": TENANT,
            "principals": ("user:alice",),
            "deadline": time.time() + 10,
            "answer": AnswerOptions(),
        }
        return RetrievePassages(question=question, **(defaults | fields))

    async def command(self, question: str, **fields: Any) -> GenerateAnswer:
        """What the generator gets for a question; raises ``TimeoutError`` if it gets nothing."""
        commands = await self.client.subscribe(self.topology.subject(GenerateAnswer))
        await flush(self.client)
        query = self.query(question, **fields)
        await self.publish(query)
        try:
            while True:
                command = GenerateAnswer.decode((await commands.next_msg(timeout=15)).data)
                if command.query_id == query.query_id:
                    return command
        finally:
            await commands.unsubscribe()

    async def find(self, question: str, **fields: Any) -> PassagesFound:
        answer = await self.ask(question, **fields)
        assert isinstance(answer, PassagesFound), answer
        return answer

    async def texts(self, question: str, **fields: Any) -> list[str]:
        return [passage.text for passage in (await self.find(question, **fields)).passages]

    async def drained(self) -> None:
        """Returns when every job of the INDEX stream is done."""
        jetstream = self.client.jetstream()

        async def empty() -> bool:
            return (await jetstream.stream_info(self.topology.stream("INDEX"))).state.messages == 0

        await eventually(empty)

    async def metric(self, name: str) -> float | None:
        for line in (await self.http.get("/metrics")).text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[-1])
        return None

    async def has_metric(self, name: str, value: float) -> bool:
        return await self.metric(name) == value


@asynccontextmanager
async def running_retriever(
    nats_url: str, topology: Topology, database_url: str, directory: Path, **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """The whole service with an Edge index in ``directory``; yields a client of its HTTP port."""
    settings = RetrieverSettings(
        namespace=topology.namespace,
        nats_url=nats_url,
        database_url=database_url,
        edge_dir=directory,
        query_workers=8,
        encode_timeout=0.5,
        graceful_timeout=5,
        **options,
    )
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://retriever") as http,
    ):

        async def ready() -> bool:
            return (await http.get("/readyz")).is_success

        await eventually(ready)
        yield http
