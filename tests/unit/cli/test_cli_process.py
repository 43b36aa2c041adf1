"""Back-off between restarts."""

from hypothesis import given
from hypothesis import strategies as st

from ragp.stack.process import FIRST_DELAY, LONGEST_DELAY, backoff


@given(st.integers(min_value=1, max_value=10_000))
def test_pauses_grow_and_are_bounded(failures: int) -> None:
    assert FIRST_DELAY <= backoff(failures) <= backoff(failures + 1) <= LONGEST_DELAY


def test_the_first_restart_comes_soon_and_each_further_one_later() -> None:
    assert [backoff(failures) for failures in (1, 2, 3)] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
