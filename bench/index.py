"""The stack's Edge index, opened by the benchmark itself: a stopped stack's, or a copy of a running one's."""

import shutil
import time
from pathlib import Path

import numpy as np
from qdrant_edge import CountRequest, EdgeShard

from rag_retriever.adapters.edge_shards import EdgeShards
from rag_retriever.adapters.sparse import Bm25Encoder
from rag_retriever.domain.index import SearchSpec, scope_filter
from ragp.stack.state import DataDirectory

SPACE = "all-minilm-l6-v2"


def count_points(directory: DataDirectory) -> int:
    """Points in all spaces of the stack's index."""
    total = 0
    for shard_directory in sorted(
        {path.parent.parent for path in directory.edge.glob("spaces/*/segments/*")}
    ):
        shard = EdgeShard.load(str(shard_directory))
        total += shard.count(CountRequest(exact=True))
        shard.close()
    return total


class BareIndex:
    """A copy of the stack's index, queried without any service around it."""

    def __init__(self, directory: DataDirectory, copy: Path, collection_id: str) -> None:
        shutil.copytree(directory.edge, copy)
        self._shards = EdgeShards(copy)
        self._shards.load()
        self._sparse = Bm25Encoder()
        self._scope = scope_filter("default", ("*",), (collection_id,))

    def milliseconds(self, question: str, vector: np.ndarray, limit: int) -> float:
        """One hybrid query, as deep as the retriever asks for this limit."""
        terms = self._sparse.encode_query(question, ("en",))
        spec = SearchSpec(SPACE, self._scope, 2 * limit + 10, vector.astype(np.float32), terms)
        began = time.perf_counter()
        ((*hits,),) = self._shards.query_batch([spec])
        spent = (time.perf_counter() - began) * 1000
        assert len(hits) >= limit
        return spent

    def close(self) -> None:
        self._shards.close()
