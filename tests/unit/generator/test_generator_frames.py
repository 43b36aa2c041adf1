from itertools import pairwise, product

from rag_common.topology import Topology
from rag_generator.domain.frames import DELIVERIES, Frames, first_attempt


def test_attempts_grow_with_each_delivery_and_leave_room_for_quotations() -> None:
    deliveries = product((1, 2, 3), range(1, DELIVERIES + 1))
    attempts = [first_attempt(retrieval, delivery) for retrieval, delivery in deliveries]
    assert attempts[0] == 1
    assert all(later == earlier + 2 for earlier, later in pairwise(attempts))


def test_deliveries_are_those_of_the_consumer() -> None:
    assert Topology().consumer("generator").max_attempts == DELIVERIES


def test_deltas_and_the_end_are_numbered_together() -> None:
    frames = Frames("q", 3)
    deltas = [frames.delta("a"), frames.delta("b")]
    done = frames.done(
        answered=True,
        finish="stop",
        grounding=None,
        prompt_tokens=None,
        completion_tokens=None,
        timings_ms={},
    )
    assert [frame.sequence for frame in (*deltas, done)] == [1, 2, 3]
    assert {frame.attempt for frame in (*deltas, done)} == {3}
