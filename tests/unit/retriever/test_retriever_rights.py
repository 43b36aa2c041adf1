from rag_common.permissions import permissions
from rag_common.topology import Topology

TOPOLOGY = Topology("lab")


def test_the_retriever_removes_objects_and_neither_writes_nor_lists_any() -> None:
    bucket = TOPOLOGY.bucket("documents")
    allowed = permissions(TOPOLOGY, "retriever")["publish"]["allow"]
    assert {subject for subject in allowed if bucket in subject} == {
        f"$JS.API.STREAM.MSG.GET.OBJ_{bucket}",
        f"$JS.API.STREAM.PURGE.OBJ_{bucket}",
    }


def test_the_retriever_does_not_order_the_updates_that_it_applies() -> None:
    assert "lab.index.update" not in permissions(TOPOLOGY, "retriever")["publish"]["allow"]
