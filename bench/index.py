"""A stopped stack's Edge index, opened by the benchmark itself."""

from qdrant_edge import CountRequest, EdgeShard

from ragp.stack.state import DataDirectory


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
