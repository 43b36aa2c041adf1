"""Which embedding spaces the embedded stack serves, and ``ragp spaces`` on it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from rag_common.contracts import ChunkText, DocumentRef, EmbedChunks
from rag_common.permissions import inbox_prefix
from rag_common.registry import ChunkRow, NewContent, Registry, Upload
from rag_common.spaces import E5_SMALL_Q4, MINILM
from rag_common.topology import Topology
from ragp.errors import CommandError, StackError
from ragp.filling import check_served
from ragp.stack import Stack
from ragp.stack.spaces import choose_spaces
from ragp.stack.state import StackState


@asynccontextmanager
async def embedder_only(data_dir: Path, space: str) -> AsyncIterator[Stack]:
    async with Stack(data_dir, port=0, only=("embedder",), space=space) as stack:
        yield stack


@asynccontextmanager
async def operator(stack: Stack) -> AsyncIterator[Client]:
    user = stack.nats_user("operator")
    client = await nats.connect(
        stack.nats_url,
        user=user.name,
        password=user.password,
        inbox_prefix=inbox_prefix("operator").encode(),
    )
    yield client
    await client.close()


async def serves(stack: Stack, space: str) -> bool:
    async with operator(stack) as client:
        try:
            await check_served(client, Topology(), space)
        except CommandError:
            return False
    return True


async def add_document(stack: Stack, live_in: str | None = None) -> DocumentRef:
    """``live_in``: a space; else it stays ``embedding``."""
    registry = await Registry.connect(stack.database_url, 1)
    await registry.collections.create("default", "handbook")
    upload = Upload(NewContent("handbook", "a", "sha", 3, "bulk"), upload_id="upload")
    document: DocumentRef = (await registry.accepting.uploads("default", [upload])).items[0].document
    chunk = ChunkRow(0, "the foghorn", 0, 11)
    await registry.ingesting.begin(document, 1)
    await registry.ingesting.commit_chunks(document, [chunk], batches=1, fingerprint="pipeline")
    if live_in is not None:
        assert (await registry.indexing.complete(document, live_in, 0, 1)).outcome == "live"
    await registry.close()
    return document


async def ragp(stack: Stack, *arguments: str, code: int = 0) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ragp", *arguments, "--data-dir", str(stack.directory.root),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == code, output.decode()
    return output.decode()


async def test_the_stack_serves_the_active_space_and_the_one_asked_for(tmp_path: Path) -> None:
    q4, minilm = E5_SMALL_Q4.name, MINILM.name
    async with embedder_only(tmp_path, q4) as stack:
        assert stack.notice is None, "nothing is missing in an empty installation"
        assert await serves(stack, q4)
        assert not await serves(stack, minilm)
        with pytest.raises(StackError, match="'nothing'"):
            await choose_spaces(stack.directory, "nothing")
        await add_document(stack, live_in=q4)
    async with embedder_only(tmp_path, minilm) as stack:
        assert f"ragp spaces fill {minilm}" in str(stack.notice)
        assert await serves(stack, q4)
        assert await serves(stack, minilm)
        listed = json.loads(await ragp(stack, "spaces", "list", "--json"))
        found = {one["space"]["name"]: (one["active"], one["complete"], one["live"]) for one in listed}
        assert (found[q4], found[minilm]) == ((True, 1, 1), (False, 0, 1))
        assert f"spaces fill {minilm}" in await ragp(stack, "spaces", "use", minilm, code=1)
        assert "1 batch " in await ragp(stack, "spaces", "fill", minilm, "--no-wait")
        assert f"{minilm} is active" in await ragp(stack, "spaces", "use", minilm, "--force")
        assert StackState.load(stack.directory).spaces == (q4, minilm)


async def test_a_space_is_served_on_while_jobs_wait_for_it_and_one_can_be_added(tmp_path: Path) -> None:
    """Whoever lacks it would hold them for ever, and with them its lane."""
    q4, minilm = E5_SMALL_Q4.name, MINILM.name
    async with Stack(tmp_path, port=0, only=()) as stack:
        document = await add_document(stack)
        asked = await choose_spaces(stack.directory, q4, (minilm,))
        assert asked.names == (minilm, q4), "a document is on its way to the active one"
        assert f"ragp spaces use {q4}" in str(asked.notice)
        assert "spaces fill" in await ragp(stack, "spaces", "use", q4, code=1)
        assert (await choose_spaces(stack.directory, None, (minilm, q4))).names == (minilm,)
        async with operator(stack) as client:
            batch = EmbedChunks(
                document=document, lane="bulk", space=minilm, batch=0, chunks=(ChunkText(no=0, text="a"),)
            )
            subject = Topology().subject(EmbedChunks, lane="bulk")
            await client.jetstream().publish(subject, batch.encode())
        await ragp(stack, "spaces", "use", q4, "--force", code=0)
        assert (await choose_spaces(stack.directory, None, (minilm,))).names == (q4, minilm)
        own = {"name": "own", "model": "models/own", "dimension": 768, "languages": ["de"]}
        assert "ragp spaces fill own" in await ragp(stack, "spaces", "add", json.dumps(own))
        listed = json.loads(await ragp(stack, "spaces", "list", "--json"))
        assert {**own, "max_tokens": 256}.items() <= {one["space"]["name"]: one["space"] for one in listed}[
            "own"
        ].items()
        assert "another one" in await ragp(
            stack, "spaces", "add", json.dumps({**own, "dimension": 9}), code=1
        )
        assert "dimension" in await ragp(stack, "spaces", "add", '{"name": "own", "model": "m"}', code=1)
