"""What the platform adds to a language model: a real llama.cpp, alone and behind ``POST /v1/ask``."""

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx
from corpus import BenchDocument
from harness import COLLECTION, TOPOLOGY, Bench, percentile, say, started
from nats.aio.msg import Msg
from recorder import Recorder

from rag_common.contracts import GenerateAnswer
from rag_common.testing.llama_server import CONTEXT_TOKENS, MODEL, LlamaServer

ANSWER_TOKENS = 48
PASSAGES = 2
HANG_UPS = 5
FREE_SECONDS = 30.0


@dataclass(frozen=True)
class Written:
    """One answer: ``begin`` is when the model could have been asked. Times by ``time.perf_counter``."""

    begin: float
    first: float
    last: float
    tokens: int

    @property
    def first_token_ms(self) -> float:
        return (self.first - self.begin) * 1000

    @property
    def per_token_ms(self) -> float:
        return (self.last - self.first) * 1000 / max(1, self.tokens - 1)


async def main(quick: bool) -> dict[str, Any]:
    """Time to first token and time per token, with the platform and without; and what a hang-up frees."""
    documents = harbours(20 if quick else 60)
    with LlamaServer() as llama:
        async with (
            Recorder(llama.url).serving() as recorder,
            started(environment=_environment(recorder.url)) as bench,
            httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_keepalive_connections=0)) as bare,
        ):
            await bench.drop(documents)
            await bench.wait_live(len(documents))
            comparison = await Comparison.begin(bench, recorder, bare, llama.url)
            await comparison.warm_up(documents[0].question)
            for document in documents[1 : 5 if quick else 31]:
                await comparison.measure(document.question)
            return comparison.figures() | await hang_ups(bench, llama, documents[31:] or documents[7:])


def _environment(url: str) -> dict[str, str]:
    return {
        "RAG_LLM": "openai",
        "RAG_OPENAI_URL": url,
        "RAG_LLM_MODEL": MODEL,
        "RAG_LLM_CONTEXT_TOKENS": str(CONTEXT_TOKENS),
        # for a machine with other work to do
        "RAG_LLM_FIRST_TOKEN_TIMEOUT": "100",
        "RAG_ASK_TIMEOUT": "240",
    }


def harbours(count: int, seed: int = 5) -> list[BenchDocument]:
    """Short documents, each with a question that it alone answers."""
    rng = random.Random(seed)
    syllables = ("bal", "dor", "fen", "gar", "hol", "kir", "lin", "mar", "nes", "ost", "ros", "tun", "vik")
    names = list({"".join(rng.sample(syllables, 3)).capitalize() for _ in range(4 * count)})
    rng.shuffle(names)
    return [
        BenchDocument(
            name=f"{name.lower()}.txt",
            text=f"The harbour of {name}. The harbour of {name} was opened in {rng.randint(1820, 1990)} and"
            f" has {rng.randint(2, 40)} cranes. Its keeper is paid {rng.randint(200, 900)} crowns a month,"
            f" and {rng.randint(3, 90)} ferries call at {name} every week between April and October.\n",
            question=f"How many cranes does the harbour of {name} have, and when was it opened?",
        )
        for name in sorted(names)[:count]
    ]


class Comparison:
    """The same question behind the platform and its prompt alone, in changing order."""

    def __init__(self, bench: Bench, recorder: Recorder, bare: httpx.AsyncClient, llama: str) -> None:
        self._bench = bench
        self._recorder = recorder
        self._bare = bare
        self._llama = llama
        self._retrieved = 0.0
        self._pairs: list[tuple[Written, Written]] = []
        self._same_request: list[tuple[float, float]] = []

    @classmethod
    async def begin(
        cls, bench: Bench, recorder: Recorder, bare: httpx.AsyncClient, llama: str
    ) -> "Comparison":
        comparison = cls(bench, recorder, bare, llama)

        async def note(_: Msg) -> None:
            comparison._retrieved = time.perf_counter()

        # Retrieval ends where the retriever hands the question on.
        await bench.nats.subscribe(TOPOLOGY.subject(GenerateAnswer), cb=note)
        await bench.nats.flush()
        return comparison

    async def warm_up(self, question: str) -> None:
        await self.ask(question)
        await self.alone(self._recorder.body)

    async def measure(self, question: str) -> None:
        """Two pairs, in either order."""
        first = await self.ask(question)
        body = self._recorder.body
        self._pairs.append((first, await self.alone(body)))
        second = await self.alone(body)
        self._pairs.append((await self.ask(question), second))

    async def ask(self, question: str) -> Written:
        first = last = 0.0
        usage: dict[str, int] = {}
        async for kind, data in events(self._bench.http, _asked(question)):
            if kind == "passages":
                assert data["adapter"] == "openai", data
                assert not data["degraded"], data["reason"]
            elif kind == "delta":
                first = first or time.perf_counter()
            elif kind == "done":
                last, usage = time.perf_counter(), data["usage"]
            assert kind not in ("error", "restart"), data
        written = Written(self._retrieved, first, last, usage["completion_tokens"])
        model = self._recorder
        assert model.first is not None
        self._same_request.append(
            (
                written.first_token_ms - (model.first - model.asked) * 1000,
                written.per_token_ms - (model.last - model.first) * 1000 / max(1, written.tokens - 1),
            )
        )
        return written

    async def alone(self, body: bytes) -> Written:
        """The very request of the generator, sent to llama.cpp itself."""
        begin, first, tokens = time.perf_counter(), 0.0, 0
        async with self._bare.stream("POST", f"{self._llama}/chat/completions", content=body) as response:
            async for line in response.aiter_lines():
                if not first and '"content":"' in line:
                    first = time.perf_counter()
                if '"usage":' in line:
                    tokens = json.loads(line.removeprefix("data: "))["usage"]["completion_tokens"]
        return Written(begin, first, time.perf_counter(), tokens)

    def figures(self) -> dict[str, Any]:
        """Milliseconds. ``same_request``: over what llama.cpp took for the very request of the platform.

        That says more where other work keeps the machine busy; what the platform takes from the model's
        processors is only in the other figures.
        """
        over = [with_it.first_token_ms - without.first_token_ms for with_it, without in self._pairs]
        per_token = [with_it.per_token_ms - without.per_token_ms for with_it, without in self._pairs]
        behind, alone = (
            (median(each.first_token_ms for each in side), median(each.per_token_ms for each in side))
            for side in zip(*self._pairs, strict=True)
        )
        first, per_same = zip(*self._same_request[1:], strict=True)
        say(
            f"{len(self._pairs)} pairs: first token after {behind[0]:.0f} ms behind the platform,"
            f" {alone[0]:.0f} alone; per token {behind[1]:.1f} and {alone[1]:.1f} ms"
        )
        return {
            "ttft_overhead_p50_ms": round(median(over), 2),
            "ttft_overhead_same_request_p50_ms": round(median(first), 2),
            "ttft_overhead_same_request_p95_ms": round(percentile(first, 95), 2),
            "ttft_alone_p50_ms": round(alone[0], 1),
            "token_overhead_p50_ms": round(median(per_token), 3),
            "token_overhead_same_request_p50_ms": round(median(per_same), 3),
            "token_alone_p50_ms": round(alone[1], 2),
            "pairs": len(self._pairs),
        }


async def hang_ups(bench: Bench, llama: LlamaServer, documents: list[BenchDocument]) -> dict[str, Any]:
    """A client leaves after the first token of a long answer: how long until llama.cpp is free."""
    freed: list[float] = []
    for document in documents:
        if len(freed) == HANG_UPS:
            break
        asked = {
            **_asked(f"{document.question} Tell the whole story of this harbour at great length."),
            "max_tokens": 2000,
        }
        async with aclosing(events(bench.http, asked)) as answer:
            async for kind, _ in answer:
                if kind == "delta":
                    break
            if await asyncio.to_thread(llama.busy_slots) == 0:
                continue  # a short answer was over already
        began = time.perf_counter()
        async with asyncio.timeout(FREE_SECONDS):
            while await asyncio.to_thread(llama.busy_slots):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.005)
        freed.append((time.perf_counter() - began) * 1000)
    assert freed, "every answer was over before its client could leave"
    say(f"{len(freed)} hang-ups: the slot is free after {median(freed):.0f} ms")
    return {
        "cancel_frees_slot_p50_ms": round(median(freed), 1),
        "cancel_frees_slot_max_ms": round(max(freed), 1),
    }


def _asked(question: str) -> dict[str, Any]:
    return {
        "question": question,
        "collections": [COLLECTION],
        "limit": PASSAGES,
        "max_tokens": ANSWER_TOKENS,
        "cache": False,
        "stream": True,
    }


async def events(http: httpx.AsyncClient, asked: dict[str, Any]) -> AsyncGenerator[tuple[str, Any], None]:
    """The answer's events as they come."""
    async with http.stream("POST", "/v1/ask", json=asked) as response:
        if response.is_error:
            raise RuntimeError((await response.aread()).decode())
        kind = ""
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield kind, json.loads(line.removeprefix("data: "))
