"""Which embedding spaces the embedded stack serves, and ``ragp spaces`` on it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest

from rag_common.contracts import DocumentRef
from rag_common.permissions import inbox_prefix
from rag_common.registry import ChunkRow, NewContent, Registry, Upload
from rag_common.spaces import E5_SMALL_Q4, MINILM
from rag_common.topology import Topology
from ragp.errors import CommandError, StackError
from ragp.filling import check_served
from ragp.stack import Stack
from ragp.stack.spaces import choose_spaces


@asynccontextmanager
async def embedder_only(data_dir: Path, space: str) -> AsyncIterator[Stack]:
    async with Stack(data_dir, port=0, only=("embedder",), space=space) as stack:
        yield stack


async def serves(stack: Stack, space: str) -> bool:
    operator = stack.nats_user("operator")
    client = await nats.connect(
        stack.nats_url,
        user=operator.name,
        password=operator.password,
        inbox_prefix=inbox_prefix("operator").encode(),
    )
    try:
        await check_served(client, Topology(), space)
    except CommandError:
        return False
    finally:
        await client.close()
    return True


async def add_live_document(stack: Stack, space: str) -> None:
    registry = await Registry.connect(stack.database_url, 1)
    await registry.collections.create("default", "handbook")
    upload = Upload(NewContent("handbook", "a", "sha", 3, "bulk"), upload_id="upload")
    document: DocumentRef = (await registry.accepting.uploads("default", [upload])).items[0].document
    chunk = ChunkRow(0, "the foghorn", 0, 11)
    await registry.ingesting.begin(document, 1)
    await registry.ingesting.commit_chunks(document, [chunk], batches=1, fingerprint="pipeline")
    assert (await registry.indexing.complete(document, space, 0, 1)).outcome == "live"
    await registry.close()


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
        await add_live_document(stack, q4)
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
