"""Services are killed, and clients leave, in the middle of an answer that a model writes slowly."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import httpx
import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client as Nats

from rag_common.broker import flush
from rag_common.contracts import CancelQuery
from rag_common.permissions import inbox_prefix
from rag_common.testing.ollama_server import Generation, OllamaServer
from rag_common.topology import Topology
from ragp.stack import Stack

pytestmark = [pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

DEADLINE = 60.0
"""Seconds; the gateway's own, for an answer."""
QUESTION = "How many days of leave does everyone have in a year?"
LEAVE = "Everyone has 28 days of leave a year. Contractors have 20 days of leave a year."
TOPOLOGY = Topology()


@pytest.fixture(scope="module")
def ollama() -> Any:
    with OllamaServer() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(ollama: OllamaServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One document; answers are written by the fake Ollama, one at a time."""
    environment = {"RAG_LLM": "ollama", "RAG_OLLAMA_URL": ollama.url, "RAG_ANSWER_WORKERS": "1"}
    directory = tmp_path_factory.mktemp("answering") / "data"
    async with Stack(directory, port=0, environment=environment) as stack:
        async with http(stack) as client:
            created = await client.post("/v1/collections", json={"name": "handbook"})
            assert created.status_code == 201, created.text
            document = {"collection": "handbook", "source_uri": "leave.txt", "text": LEAVE}
            accepted = await client.post("/v1/documents", json=document)
            assert accepted.status_code == 202, accepted.text

            async def found() -> bool:
                answer = await client.post("/v1/search", json={"query": QUESTION})
                return bool(answer.json()["passages"])

            await eventually(found)
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def whole(stack: Stack) -> Stack:
    """Also what the test before has killed."""

    async def ready() -> bool:
        return all(process.state == "ready" for process in stack.processes)

    await eventually(ready)
    return stack


@pytest_asyncio.fixture(loop_scope="module")
async def operator(stack: Stack) -> AsyncIterator[Nats]:
    user = stack.nats_user("operator")
    client = await nats.connect(
        stack.nats_url, user=user.name, password=user.password, inbox_prefix=inbox_prefix("operator")
    )
    yield client
    await client.close()


@asynccontextmanager
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=DEADLINE + 10) as client:
        yield client


async def eventually(condition: Callable[[], Any], seconds: float = DEADLINE) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - other processes do not tell
            await asyncio.sleep(0.05)


async def idle(ollama: OllamaServer) -> None:
    """Returns when no chat is being answered."""

    async def quiet() -> bool:
        return ollama.running == 0

    await eventually(quiet, 10)


async def settled(operator: Nats) -> None:
    """Returns when no question waits or is worked on."""
    jetstream = operator.jetstream()

    async def empty() -> bool:
        return (await jetstream.stream_info(TOPOLOGY.stream("QUERY"))).state.messages == 0

    await eventually(empty)


def generation(name: str, count: int = 10, delay: float = 0.02) -> Generation:
    """Words that no other generation has."""
    return Generation(tokens=(*(f"{name}{number} " for number in range(count)), "[1]."), delay=delay)


def endless(name: str) -> Generation:
    """Longer than any question may take."""
    return generation(name, count=1000, delay=0.1)


def text_of(written: Generation) -> str:
    return "".join(written.tokens)


class Asking:
    """A client that reads the events of an answer; leaving the context hangs up."""

    def __init__(self, stack: Stack, question: str = QUESTION, **fields: Any) -> None:
        self._stack = stack
        self._body = {"question": question, "stream": True, "cache": False, **fields}
        self._heard = asyncio.Event()
        self.opened: list[dict[str, Any]] = []
        self.texts: list[str] = []
        """Of each opening."""
        self.end: tuple[str, dict[str, Any]] | None = None
        self.broken: httpx.TransportError | None = None

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def spoken_to(self) -> None:
        """Returns after the first words of the answer."""
        async with asyncio.timeout(DEADLINE):
            await self._heard.wait()

    async def finished(self) -> None:
        """Returns when the answer is complete, or the client knows that it will not be."""
        async with asyncio.timeout(DEADLINE + 5):
            await self._reading

    async def _read(self) -> None:
        name = ""
        try:
            async with (
                http(self._stack) as client,
                client.stream("POST", "/v1/ask", json=self._body) as response,
            ):
                assert response.status_code == 200, await response.aread()
                async for line in response.aiter_lines():
                    field, _, value = line.partition(": ")
                    if field == "event":
                        name = value
                    elif field == "data":
                        self._take(name, json.loads(value))
        except httpx.TransportError as error:
            self.broken = error

    def _take(self, name: str, data: dict[str, Any]) -> None:
        assert self.end is None, f"{name} after the end"
        if name == "restart":
            assert self.opened
        elif name == "passages":
            self.opened.append(data)
            self.texts.append("")
        elif name == "delta":
            self.texts[-1] += data["text"]
            self._heard.set()
        elif name in ("done", "error"):
            self.end = name, data


def assert_complete(asking: Asking, written: Generation) -> None:
    """What the client holds is this text, and nothing of another."""
    assert asking.end is not None
    assert asking.end[0] == "done", asking.end
    assert asking.end[1]["answered"]
    assert asking.texts[-1] == text_of(written)
    assert not asking.opened[-1]["degraded"]


async def test_a_killed_generators_answer_is_begun_anew(
    whole: Stack, ollama: OllamaServer, operator: Nats
) -> None:
    first, second = endless("first"), generation("second")
    ollama.then(first, second)
    async with Asking(whole) as asking:
        await asking.spoken_to()
        whole.process("generator").kill()
        await asking.finished()
    assert_complete(asking, second)
    assert len(asking.texts) == 2
    assert text_of(first).startswith(asking.texts[0])
    await idle(ollama)
    await settled(operator)


async def test_a_killed_retrievers_question_is_answered(
    whole: Stack, ollama: OllamaServer, operator: Nats
) -> None:
    """It dies while it waits for a follow-up to be rewritten."""
    async with http(whole) as client:
        conversation = (await client.post("/v1/conversations", json={})).json()["id"]
        opening = {"question": QUESTION, "conversation_id": conversation, "cache": False}
        assert (await client.post("/v1/ask", json=opening)).status_code == 200
    rewritten = "How many days of leave do contractors have in a year?"
    written = generation("whole")
    ollama.then(endless("never"), Generation(tokens=(rewritten,)), written)
    async with Asking(whole, "And contractors?", conversation_id=conversation) as asking:

        async def rewriting() -> bool:
            return ollama.running == 1

        await eventually(rewriting)
        whole.process("retriever").kill()
        await asking.finished()
    assert_complete(asking, written)
    assert len(asking.texts) == 1
    assert asking.opened[0]["standalone_question"] == rewritten
    await idle(ollama)
    await settled(operator)


async def test_the_answer_of_a_killed_gateway_ends(
    whole: Stack, ollama: OllamaServer, operator: Nats
) -> None:
    """Its client sees a broken connection, no answer that looks complete."""
    first = endless("first")
    ollama.then(first)
    async with Asking(whole) as asking:
        await asking.spoken_to()
        whole.process("gateway").kill()
        await asking.finished()
    assert isinstance(asking.broken, httpx.TransportError)
    assert asking.end is None
    assert text_of(first).startswith(asking.texts[0])
    await idle(ollama)
    await settled(operator)


async def test_a_client_that_hangs_up_ends_its_answer(
    whole: Stack, ollama: OllamaServer, operator: Nats
) -> None:
    closed = ollama.closed
    ollama.then(endless("first"))
    async with Asking(whole) as asking:
        await asking.spoken_to()
    await idle(ollama)
    assert ollama.closed == closed + 1
    await settled(operator)


async def test_a_waiting_question_of_a_client_that_left_is_never_started(
    whole: Stack, ollama: OllamaServer, operator: Nats
) -> None:
    question = "How many days of leave do contractors get in a year?"
    jetstream = operator.jetstream()
    spec = TOPOLOGY.consumer("generator")
    cancellations = await operator.subscribe(TOPOLOGY.pattern(CancelQuery))
    await flush(operator)
    written = generation("next")
    ollama.then(endless("first"), written)
    async with Asking(whole) as working:
        await working.spoken_to()
        async with Asking(whole, question):

            async def queued() -> bool:
                return (await jetstream.consumer_info(spec.stream, spec.name)).num_pending == 1

            await eventually(queued)
        await cancellations.next_msg(timeout=10)
    await cancellations.unsubscribe()
    await settled(operator)
    await idle(ollama)
    # asked again, to see that it would have come to the model
    async with Asking(whole, question) as asking:
        await asking.finished()
    assert_complete(asking, written)
    assert sum(question in json.dumps(body) for _, body in ollama.asked) == 1
