"""Every process of the stack is killed in turn while 200 documents are on their way."""

import asyncio
import contextlib
import random
import time
import uuid
from pathlib import Path

import asyncpg
import httpx
import nats
import nats.errors
import pytest
from nats.js.errors import APIError
from qdrant_edge import EdgeShard, ScrollRequest

from rag_common.contracts import IngestDocument, InlineContent
from rag_common.permissions import inbox_prefix
from rag_common.topology import Topology
from ragp.stack import Stack

pytestmark = pytest.mark.timeout(420)

DOCUMENTS = 200
SPACE = "all-minilm-l6-v2"
VICTIMS = ("gateway", "ingest", "embedder", "retriever", "generator", "nats", "postgres")
_WORDS = ["storm", "buoy", "harbour", "leave", "travel", "invoice", "sensor", "night", "permit", "engine"]


def _text(number: int) -> str:
    rng = random.Random(number)
    sentences = (" ".join(rng.choices(_WORDS, k=12)) for _ in range(25))
    return f"Report {number}. " + ". ".join(sentences) + "."


async def _upload(stack: Stack, number: int) -> None:
    """Until it is answered: the same key makes the repetition harmless."""
    key = str(uuid.uuid4())
    async with httpx.AsyncClient(base_url=stack.url, timeout=20) as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                response = await http.post(
                    "/v1/documents",
                    json={
                        "collection": "reports",
                        "source_uri": f"chaos:/http/{number}",
                        "text": _text(number),
                    },
                    headers={"Authorization": f"Bearer {stack.api_key}", "Idempotency-Key": key},
                )
                if response.status_code == 202:
                    return
                assert response.status_code in (503, 504), response.text
            await asyncio.sleep(0.3)


async def _drop(stack: Stack, number: int) -> None:
    """As an outside producer: publish until JetStream has acknowledged."""
    user = stack.nats_user("producer")
    job = IngestDocument(
        collection="reports",
        source_uri=f"chaos:/drop/{number}",
        content=InlineContent(text=_text(number)),
        file_name=f"{number}.txt",
    )
    subject = Topology().subject(IngestDocument, lane="bulk", tenant="default")
    while True:
        with contextlib.suppress(nats.errors.Error, APIError, OSError, TimeoutError):
            connection = await nats.connect(
                stack.nats_url,
                user=user.name,
                password=user.password,
                inbox_prefix=inbox_prefix("producer", "default"),
                allow_reconnect=False,
            )
            try:
                await connection.jetstream().publish(subject, job.encode(), timeout=5)
                return
            finally:
                await connection.close()
        await asyncio.sleep(0.3)


async def _live(stack: Stack) -> int | None:
    """``None`` while PostgreSQL is down."""
    try:
        connection = await asyncpg.connect(stack.database_url, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return None
    try:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM documents WHERE live_generation = latest_generation"
        )
        return count
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    finally:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close()


async def _wait_live(stack: Stack, count: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    live: int | None = None
    while time.monotonic() < deadline:
        live = await _live(stack)
        if live is not None and live >= count:
            return live
        await asyncio.sleep(0.2)
    raise AssertionError(f"{live} documents are live after {seconds} s; {count} expected")


async def _feed(stack: Stack) -> None:
    """Half by HTTP, half by drops, eight at a time."""
    gate = asyncio.Semaphore(8)

    async def one(number: int) -> None:
        async with gate:
            await (_upload if number % 2 else _drop)(stack, number)

    await asyncio.gather(*map(one, range(DOCUMENTS)))


async def _expected_points(stack: Stack) -> set[str]:
    connection = await asyncpg.connect(stack.database_url)
    try:
        rows = await connection.fetch(
            "SELECT d.id, c.generation, c.no FROM documents d JOIN chunks c ON c.document_id = d.id"
        )
    finally:
        await connection.close()
    return {str(uuid.uuid5(row["id"], f"{SPACE}:{row['generation']}:{row['no']}")) for row in rows}


def _points(edge: Path) -> list[str]:
    (directory,) = {path.parent.parent for path in edge.glob("spaces/*/segments/*")}
    shard = EdgeShard.load(str(directory))
    try:
        records, _ = shard.scroll(ScrollRequest(limit=100_000, with_payload=False, with_vector=False))
        return [str(record.id) for record in records]
    finally:
        shard.close()


async def test_no_document_is_lost_or_doubled_when_every_process_is_killed(tmp_path: Path) -> None:
    async with Stack(tmp_path / "data", port=0) as stack:
        async with httpx.AsyncClient(base_url=stack.url) as http:
            created = await http.post(
                "/v1/collections",
                json={"name": "reports"},
                headers={"Authorization": f"Bearer {stack.api_key}"},
            )
            assert created.status_code == 201, created.text
        feeding = asyncio.create_task(_feed(stack))
        for position, victim in enumerate(VICTIMS):
            live = await _wait_live(stack, 1 + position * DOCUMENTS // 10, seconds=90)
            assert live < DOCUMENTS, f"nothing was left to lose when {victim} was killed"
            stack.process(victim).kill()
        await asyncio.wait_for(feeding, 120)
        await _wait_live(stack, DOCUMENTS, seconds=180)
        expected = await _expected_points(stack)
        states = await _states(stack)
        edge = stack.directory.edge
    points = _points(edge)
    assert states == {"live": DOCUMENTS}
    assert len(points) == len(set(points))
    assert set(points) == expected


async def _states(stack: Stack) -> dict[str, int]:
    connection = await asyncpg.connect(stack.database_url)
    try:
        rows = await connection.fetch("SELECT state, count(*) FROM generations GROUP BY state")
    finally:
        await connection.close()
    return {row["state"]: row["count"] for row in rows}
