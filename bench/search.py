"""What a search costs above its bare parts, and how throughput grows with the number of clients."""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from corpus import documents, questions
from harness import COLLECTION, BareModel, Bench, percentile, run, say, started
from index import BareIndex

from rag_common.registry import Registry

Search = Callable[[str], Awaitable[dict[str, Any]]]


class Client:
    """One keep-alive HTTP connection: the load generator must cost less than what it measures."""

    def __init__(self, url: str, api_key: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._address = (parts.hostname, parts.port)
        self._head = (
            f"POST /v1/search HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {api_key}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        )

    async def __aenter__(self) -> Search:
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        return self.search

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def search(self, question: str) -> dict[str, Any]:
        body = json.dumps({"query": question, "collections": [COLLECTION], "limit": 10}).encode()
        self._writer.write(f"{self._head}{len(body)}\r\n\r\n".encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        answer: dict[str, Any] = json.loads(await self._reader.readexactly(length))
        assert head.split(" ", 2)[1] == "200", answer
        return answer


async def main(quick: bool) -> dict[str, Any]:
    corpus = documents(300 if quick else 2500)
    async with started() as bench:
        began = time.perf_counter()
        await bench.drop(corpus)
        await bench.wait_live(len(corpus))
        chunks = await bench.database.fetchval("SELECT count(*) FROM chunks")
        say(f"{len(corpus)} documents, {chunks} chunks searchable after {time.perf_counter() - began:.0f} s")
        pool = iter(questions(20_000))
        figures = {"chunks": chunks}
        figures |= await overhead(bench, [next(pool) for _ in range(40 if quick else 200)])
        for clients in (1, 16, 64):
            count = clients * (4 if quick else 12) + (20 if quick else 100)
            figures |= await load(bench, clients, [next(pool) for _ in range(count)])
        figures |= await during_ingest(bench, [next(pool) for _ in range(30 if quick else 150)], quick)
    return figures


async def overhead(bench: Bench, asked: list[str]) -> dict[str, Any]:
    """Per question: encode, index query and registry query alone, then the same through the API."""
    model = BareModel()
    registry = await Registry.connect(bench.stack.database_url, 2)
    # the index belongs to the retriever's process; after a flush its files can be copied
    await asyncio.sleep(7)
    collection_id = (await registry.collections.ids("default", (COLLECTION,)))[COLLECTION]
    index = BareIndex(bench.stack.directory, bench.stack.directory.root / "edge-copy", collection_id)
    parts: dict[str, list[float]] = {"encode": [], "index": [], "registry": []}
    over, whole = [], []
    try:
        async with Client(bench.stack.url, bench.stack.api_key) as search:
            for question in asked[:5]:
                await search(question)
            for question in asked:
                # the bare model's threads spin for a while after their work
                await asyncio.sleep(0.05)
                began = time.perf_counter()
                answer = await search(question)
                through_api = (time.perf_counter() - began) * 1000
                began = time.perf_counter()
                vector = model.vector(question)
                encode = (time.perf_counter() - began) * 1000
                query = index.milliseconds(question, vector, 10)
                keys = [
                    (hit["document_id"], hit["generation"], hit["chunk_no"]) for hit in answer["passages"]
                ]
                began = time.perf_counter()
                admitted = await registry.passages.admitted("default", ("*",), (COLLECTION,), keys)
                registry_ms = (time.perf_counter() - began) * 1000
                assert len(admitted) == len(keys) == 10, "a search at this size finds ten passages"
                for name, value in (("encode", encode), ("index", query), ("registry", registry_ms)):
                    parts[name].append(value)
                whole.append(through_api)
                over.append(through_api - encode - query - registry_ms)
    finally:
        index.close()
        await registry.close()
    medians = {name: round(statistics.median(values), 2) for name, values in parts.items()}
    say(f"one client: {statistics.median(whole):.1f} ms per search; bare parts, median ms: {medians}")
    return {
        "overhead_p50_ms": round(statistics.median(over), 2),
        "overhead_p95_ms": round(percentile(over, 95), 2),
        "search_p50_ms": round(statistics.median(whole), 2),
        "bare_parts_p50_ms": medians,
    }


async def load(bench: Bench, clients: int, asked: list[str]) -> dict[str, Any]:
    """A closed loop: each client asks the next question as soon as it has its answer."""
    pending = iter(asked)
    latencies: list[float] = []

    async def client() -> None:
        async with Client(bench.stack.url, bench.stack.api_key) as search:
            for question in pending:
                began = time.perf_counter()
                answer = await search(question)
                latencies.append((time.perf_counter() - began) * 1000)
                assert answer["passages"], question
                assert not answer["degraded"], answer

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    rate = len(asked) / (time.perf_counter() - began)
    say(f"{clients} clients: {rate:.0f} searches/s, p95 {percentile(latencies, 95):.0f} ms")
    return {f"rps_{clients}": round(rate, 1), f"p95_{clients}_ms": round(percentile(latencies, 95), 1)}


async def during_ingest(bench: Bench, asked: list[str], quick: bool) -> dict[str, Any]:
    """One client while a bulk drop keeps the embedder busy."""
    before = await bench.live()
    corpus = documents(200 if quick else 1000, seed=23)
    await bench.drop(corpus)
    latencies = []
    async with Client(bench.stack.url, bench.stack.api_key) as search:
        for question in asked:
            began = time.perf_counter()
            await search(question)
            latencies.append((time.perf_counter() - began) * 1000)
            if await bench.live() >= before + len(corpus):
                break
    say(f"{len(latencies)} searches during a bulk drop: p50 {statistics.median(latencies):.0f} ms")
    await bench.wait_live(before + len(corpus))
    return {
        "p50_during_ingest_ms": round(statistics.median(latencies), 1),
        "p95_during_ingest_ms": round(percentile(latencies, 95), 1),
        "searches_during_ingest": len(latencies),
    }


if __name__ == "__main__":
    run(main, __doc__ or "")
