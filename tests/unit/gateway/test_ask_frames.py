"""Whatever arrives in whatever order: one attempt's text, a restart, or an error; never a mixture."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_common.contracts import AnswerDelta, AnswerDone, AnswerOpened, QueryFailed
from rag_gateway.domain.answers import AnswerBroken, AnswerEvent, CollectedAnswer
from rag_gateway.domain.frames import FrameOrder


def opened(attempt: int) -> AnswerOpened:
    return AnswerOpened(
        query_id="q",
        attempt=attempt,
        standalone="?",
        passages=(),
        mode="hybrid",
        adapter="extractive",
        prompt_version="1",
    )


def frames_of(attempt: int, words: int) -> list[AnswerEvent]:
    """A whole answer, whose every word names its attempt and its place."""
    deltas = [
        AnswerDelta(query_id="q", attempt=attempt, sequence=number, text=f"{attempt}.{number} ")
        for number in range(1, words + 1)
    ]
    end = AnswerDone(query_id="q", attempt=attempt, sequence=words + 1, answered=True)
    return [opened(attempt), *deltas, end]


def collect(frames: Sequence[AnswerEvent]) -> CollectedAnswer:
    """What a reader that stops at the end of the answer has then."""
    order, collected = FrameOrder(), CollectedAnswer()
    for frame in frames:
        if order.admit(frame):
            collected.add(frame)
            if collected.done is not None:
                break
    return collected


def text_of(attempt: int, words: int) -> str:
    return "".join(f"{attempt}.{number} " for number in range(1, words + 1))


@given(st.data(), st.integers(1, 3), st.integers(1, 3), st.integers(0, 8), st.integers(0, 8))
def test_two_attempts_are_never_mixed(
    data: st.DataObject, first: int, second: int, words: int, more: int
) -> None:
    """Each attempt's own frames come in order, any of them twice; the two interleave as they like."""
    attempts = {1: frames_of(first, words), 2: frames_of(first + second, more)}
    left = {number: list(frames) for number, frames in attempts.items()}
    arriving: list[AnswerEvent] = []
    while any(left.values()):
        number = data.draw(st.sampled_from([number for number, frames in left.items() if frames]))
        frame = left[number].pop(0)
        arriving += [frame] * data.draw(st.sampled_from([1, 1, 2]))
    collected = collect(arriving)
    assert collected.opened is not None
    assert collected.done is not None
    attempt = collected.done.attempt
    assert collected.opened.attempt == attempt
    assert collected.text == text_of(attempt, words if attempt == first else more)


@given(st.lists(st.sampled_from(frames_of(1, 4) + frames_of(2, 3)), max_size=30))
def test_any_frames_in_any_order_are_a_beginning_of_one_answer_or_an_error(
    frames: list[AnswerEvent],
) -> None:
    order, collected = FrameOrder(), CollectedAnswer()
    for frame in frames:
        try:
            if order.admit(frame):
                collected.add(frame)
        except AnswerBroken:
            break
        if collected.opened is None:
            assert collected.text == ""
        else:
            whole = text_of(collected.opened.attempt, 4)
            assert whole.startswith(collected.text)


def test_a_missing_piece_is_an_error() -> None:
    order = FrameOrder()
    first, _, third, _ = frames_of(1, 2)
    assert order.admit(first)
    with pytest.raises(AnswerBroken):
        order.admit(third)


def test_text_without_its_opening_is_an_error() -> None:
    for frame in frames_of(1, 1)[1:]:
        with pytest.raises(AnswerBroken):
            FrameOrder().admit(frame)


def test_an_opening_that_is_asked_again_is_wanted_but_does_not_restart() -> None:
    order = FrameOrder()
    assert order.admit(opened(2))
    assert not order.admit(opened(2))
    assert order.wanted(opened(2))


def test_an_attempt_that_was_overtaken_is_not_wanted() -> None:
    order = FrameOrder()
    order.admit(opened(2))
    assert not order.admit(opened(1))
    assert not any(order.wanted(frame) for frame in frames_of(1, 3))
    assert all(order.wanted(frame) for frame in frames_of(2, 3))


@pytest.mark.parametrize(
    ("newest", "failed", "ends"),
    [(None, None, True), (None, 2, True), (1, None, False), (1, 2, True), (3, 2, False), (3, 4, True)],
)
def test_only_the_newest_attempt_can_fail(newest: int | None, failed: int | None, ends: bool) -> None:
    """A search that is delivered again after its answer was begun fails without an attempt."""
    order = FrameOrder()
    if newest is not None:
        order.admit(opened(newest))
    assert order.ends(QueryFailed(query_id="q", attempt=failed, code="x", message="y")) == ends
