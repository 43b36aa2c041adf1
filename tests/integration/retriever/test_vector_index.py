import asyncio
import os
import subprocess
import sys
import uuid
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient
from vector_index_contract import (
    DIMENSION,
    DOCUMENTS,
    SPACE,
    VectorIndexContract,
    found,
    make_point,
    search,
)

from rag_retriever.adapters.edge import EdgeIndex
from rag_retriever.adapters.qdrant import QdrantIndex
from rag_retriever.domain.index import IndexRefused, IndexUnavailable, VectorIndex


class TestEdgeIndex(VectorIndexContract):
    @pytest.fixture
    async def index(self, tmp_path: Path) -> AsyncIterator[VectorIndex]:
        index = await EdgeIndex.open(tmp_path / "index", flush_interval=0.05)
        await index.claim("one")
        await index.ensure_space(SPACE, DIMENSION)
        yield index
        await index.close()

    async def test_points_survive_a_restart(self, tmp_path: Path) -> None:
        index = await EdgeIndex.open(tmp_path)
        await index.ensure_space(SPACE, DIMENSION)
        await index.upsert(SPACE, [make_point(1), make_point(2, acl=("group:hr",))])
        await index.delete_points(SPACE, [make_point(7).id])
        await index.close()
        await index.close()
        again = await EdgeIndex.open(tmp_path)
        assert await again.spaces() == (SPACE,)
        assert await again.count(SPACE) == 2
        assert await found(again, search()) == {(0, 1)}
        await again.ensure_space(SPACE, DIMENSION)
        with pytest.raises(IndexRefused):
            await again.ensure_space(SPACE, 2 * DIMENSION)
        await again.close()

    async def test_points_survive_a_kill_before_any_flush(self, tmp_path: Path) -> None:
        program = f"""
import asyncio, os, sys
sys.path[:0] = {[str(Path(__file__).parent)]!r}
from pathlib import Path
from vector_index_contract import *
from rag_retriever.adapters.edge import EdgeIndex
async def main():
    index = await EdgeIndex.open(Path({str(tmp_path)!r}), flush_interval=3600)
    await index.ensure_space(SPACE, DIMENSION)
    await index.upsert(SPACE, [make_point(n) for n in range(100)])
    await index.delete_document(SPACE, "acme", DOCUMENTS[1])
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
        killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], timeout=60)
        assert killed.returncode == -9
        index = await EdgeIndex.open(tmp_path)
        assert await index.count(SPACE) == 100
        assert await index.count_document(SPACE, "acme", DOCUMENTS[0]) == 100
        await index.close()

    async def test_a_directory_is_open_once(self, tmp_path: Path) -> None:
        index = await EdgeIndex.open(tmp_path)
        await index.ensure_space(SPACE, DIMENSION)
        with pytest.raises(IndexUnavailable):
            await EdgeIndex.open(tmp_path)
        await index.close()

    async def test_a_half_made_space_is_made_anew(self, tmp_path: Path) -> None:
        (tmp_path / "draft" / "segments").mkdir(parents=True)
        index = await EdgeIndex.open(tmp_path)
        await index.ensure_space(SPACE, DIMENSION)
        await index.upsert(SPACE, [make_point(1)])
        assert await index.count(SPACE) == 1
        await index.close()

    async def test_points_without_a_stamp_are_not_adopted(self, tmp_path: Path) -> None:
        index = await EdgeIndex.open(tmp_path)
        await index.ensure_space(SPACE, DIMENSION)
        with pytest.raises(IndexRefused):
            await index.claim("one")
        await index.close()


class TestQdrantInMemory(VectorIndexContract):
    @pytest.fixture
    async def index(self) -> AsyncIterator[VectorIndex]:
        index = QdrantIndex(AsyncQdrantClient(":memory:"), "test")
        await index.claim("one")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Payload indexes have no effect in the local Qdrant")
            await index.ensure_space(SPACE, DIMENSION)
            yield index
        await index.close()

    async def test_a_server_that_does_not_answer_is_unavailable(self) -> None:
        index = QdrantIndex(
            AsyncQdrantClient("http://127.0.0.1:9", timeout=2, check_compatibility=False), "test"
        )
        with pytest.raises(IndexUnavailable):
            await index.ensure_space(SPACE, DIMENSION)
        await index.close()


@pytest.mark.skipif("QDRANT_URL" not in os.environ, reason="QDRANT_URL names no Qdrant server")
class TestQdrantServer(VectorIndexContract):
    @pytest.fixture
    async def index(self) -> AsyncIterator[VectorIndex]:
        client = AsyncQdrantClient(os.environ["QDRANT_URL"])
        prefix = f"test-{uuid.uuid4().hex[:8]}"
        index = QdrantIndex(client, prefix)
        await index.claim("one")
        await index.ensure_space(SPACE, DIMENSION)
        yield index
        for collection in (await client.get_collections()).collections:
            if collection.name.startswith(prefix):
                await client.delete_collection(collection.name)
        await index.close()
