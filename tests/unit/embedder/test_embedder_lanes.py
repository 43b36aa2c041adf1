"""Which texts are encoded next, and which of them together."""

from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_common.testing.encoder import HashEncoder
from rag_embedder.domain import Encoder, Priority
from rag_embedder.domain.lanes import MAX_PADDING, WINDOW_SLICES, Lane, Lanes
from rag_embedder.domain.work import Request, Slice, Text

BUDGET = 100
ENCODER = HashEncoder()


def budgets(_: Encoder) -> int:
    return BUDGET


def texts(
    lengths: Sequence[int], priority: Priority = Priority.BULK, encoder: Encoder = ENCODER
) -> list[Text]:
    request = Request(
        encoder=encoder,
        priority=priority,
        texts=["…"] * len(lengths),
        arrived=0.0,
        done=Future(),  # lanes only ask whether it is done, which needs no event loop
        rows=np.empty((len(lengths), 2), np.float32),
        missing=len(lengths),
    )
    return [Text(request, row, [1] * length) for row, length in enumerate(lengths)]


def drain(lane: Lane, budget: int = BUDGET) -> list[Slice]:
    slices = []
    while lane:
        slices.append(lane.take(lambda _: budget))
    return slices


def lengths(taken: Slice) -> list[int]:
    return [text.length for text in taken.texts]


@given(
    requests=st.lists(st.lists(st.integers(1, 150), min_size=1, max_size=12), max_size=12),
    budget=st.integers(1, 300),
)
@settings(deadline=None, max_examples=150)
def test_every_text_is_taken_once_within_the_budget(requests: list[list[int]], budget: int) -> None:
    lane = Lane(Priority.BULK)
    added = [text for request in requests for text in texts(request)]
    for request in {text.request: None for text in added}:
        lane.add([text for text in added if text.request is request])
    slices = drain(lane, budget)
    taken = [text for one in slices for text in one.texts]
    assert len(taken) == len(added)
    assert set(map(id, taken)) == set(map(id, added))
    for one in slices:
        assert one.cost <= budget or len(one.texts) == 1
        padding = one.cost - sum(lengths(one))
        assert padding <= budget * MAX_PADDING
        assert lengths(one) == sorted(lengths(one), reverse=True)


def test_texts_of_several_requests_are_merged_and_sorted() -> None:
    lane = Lane(Priority.BULK)
    for request in ([10, 25], [24, 9], [25, 25, 10]):
        lane.add(texts(request))
    assert [lengths(one) for one in drain(lane)] == [[25, 25, 25, 24], [10, 10, 9]]


def test_equally_long_texts_keep_the_order_of_their_arrival() -> None:
    lane = Lane(Priority.BULK)
    for _ in range(3):
        lane.add(texts([50, 50]))
    taken = [text for one in drain(lane) for text in one.texts]
    assert [text.row for text in taken] == [0, 1] * 3
    assert [text.request for text in taken[::2]] == [text.request for text in taken[1::2]]


def test_a_short_text_is_not_passed_by_longer_ones_for_ever() -> None:
    lane = Lane(Priority.BULK)
    [short] = texts([1])
    lane.add([short])
    taken = []
    for _ in range(WINDOW_SLICES + 1):
        lane.add(texts([BUDGET]))
        lane.add(texts([BUDGET]))
        taken += lane.take(budgets).texts
    assert short in taken


def test_texts_of_a_settled_request_are_dropped() -> None:
    lane = Lane(Priority.BULK)
    kept, dropped = texts([30, 10]), texts([40, 20])
    lane.add(dropped)
    lane.add(kept)
    first = lane.take(lambda _: 60)
    assert lengths(first) == [40]
    dropped[0].request.done.cancel()
    assert [text for one in drain(lane) for text in one.texts] == kept


def test_a_lane_of_settled_requests_is_empty() -> None:
    lane = Lane(Priority.BULK)
    waiting, retried = texts([5]), texts([5])
    lane.add(waiting)
    lane.retry([Slice(Priority.BULK, retried)])
    waiting[0].request.done.cancel()
    retried[0].request.done.cancel()
    assert not lane


def test_retries_go_first_and_stay_apart() -> None:
    lane = Lane(Priority.BULK)
    lane.add(texts([10]))
    retries = [Slice(Priority.BULK, texts([10])), Slice(Priority.BULK, texts([10]))]
    lane.retry(retries)
    assert drain(lane)[:2] == retries


def test_a_query_goes_before_everything_else() -> None:
    lanes = Lanes({Priority.BULK: 0.1})
    for priority in reversed(Priority):
        lanes[priority].add(texts([10], priority))
    taken = [one.priority for one in iter(lambda: lanes.take(budgets), None)]
    assert taken == list(Priority)


@pytest.mark.parametrize("busy", [Priority.QUERY, Priority.INTERACTIVE])
def test_bulk_keeps_a_tenth_while_a_higher_lane_is_busy(busy: Priority) -> None:
    lanes = Lanes({Priority.BULK: 0.1})
    for _ in range(400):
        lanes[busy].add(texts([BUDGET], busy))
        lanes[Priority.BULK].add(texts([BUDGET]))
    taken = [lanes.take(budgets) for _ in range(300)]
    bulk = sum(one.cost for one in taken if one and one.priority is Priority.BULK)
    assert bulk == pytest.approx(0.1 * 300 * BUDGET, rel=0.1)


def test_an_idle_lane_saves_up_no_share() -> None:
    lanes = Lanes({Priority.BULK: 0.5})
    lanes[Priority.INTERACTIVE].add(texts([BUDGET] * 50, Priority.INTERACTIVE))
    for _ in range(40):
        lanes.take(budgets)
    lanes[Priority.BULK].add(texts([BUDGET] * 10))
    following = [one.priority for one in iter(lambda: lanes.take(budgets), None)]
    assert following[:4] == [Priority.INTERACTIVE, Priority.BULK] * 2


def test_a_lane_that_was_emptied_begins_anew() -> None:
    lanes = Lanes({Priority.BULK: 0.34})
    lanes[Priority.INTERACTIVE].add(texts([BUDGET] * 10, Priority.INTERACTIVE))
    gone = texts([BUDGET])
    lanes[Priority.BULK].add(gone)
    lanes.take(budgets)
    gone[0].request.done.cancel()
    lanes.take(budgets)
    lanes[Priority.BULK].add(texts([BUDGET]))
    following = [lanes.take(budgets) for _ in range(3)]
    assert [one.priority for one in following if one] == [
        Priority.INTERACTIVE,
        Priority.INTERACTIVE,
        Priority.BULK,
    ]


def test_without_a_share_the_highest_lane_has_all() -> None:
    lanes = Lanes({})
    lanes[Priority.BULK].add(texts([BUDGET] * 5))
    lanes[Priority.QUERY].add(texts([BUDGET] * 50, Priority.QUERY))
    taken = [lanes.take(budgets) for _ in range(50)]
    assert all(one and one.priority is Priority.QUERY for one in taken)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Lanes({Priority.BULK: share})


def test_a_window_ends_where_the_texts_of_another_encoder_begin() -> None:
    lane, other = Lane(Priority.BULK), HashEncoder()
    for encoder in (ENCODER, other, other, ENCODER):
        lane.add(texts([10], encoder=encoder))
    slices = drain(lane)
    assert [one.encoder for one in slices] == [ENCODER, other, ENCODER]
    assert [len(one.texts) for one in slices] == [1, 2, 1]


def test_the_share_is_of_slices_whatever_their_encoders_budget() -> None:
    """A slow encoder's slices hold fewer tokens and take as long."""
    lanes, slow = Lanes({Priority.BULK: 0.1}), HashEncoder()
    for _ in range(400):
        lanes[Priority.INTERACTIVE].add(texts([BUDGET], Priority.INTERACTIVE))
        lanes[Priority.BULK].add(texts([BUDGET // 10], encoder=slow))
    taken = [lanes.take(lambda encoder: BUDGET // 10 if encoder is slow else BUDGET) for _ in range(300)]
    bulk = sum(one is not None and one.priority is Priority.BULK for one in taken)
    assert bulk == pytest.approx(30, abs=3)
