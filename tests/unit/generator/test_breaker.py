"""The circuit breaker: when it refuses, when it tries again, whom it believes."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rag_generator.domain.breaker import Breaker

FAILURES, PAUSE = 3, 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(failures=FAILURES, pause=PAUSE, clock=clock)
    for _ in range(FAILURES):
        breaker.failed(entered(breaker))
    return breaker


def entered(breaker: Breaker) -> int:
    call = breaker.enter()
    assert call is not None
    return call


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(failures=FAILURES, pause=PAUSE, clock=Clock())
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        outcome(entered(breaker))
        assert not breaker.is_open
    breaker.failed(entered(breaker))
    assert breaker.is_open
    assert breaker.enter() is None


def test_after_the_pause_one_call_tries_and_closes_it() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += PAUSE
    probe = entered(breaker)
    assert breaker.enter() is None, "one at a time"
    breaker.succeeded(probe)
    assert not breaker.is_open
    breaker.failed(entered(breaker))
    assert not breaker.is_open, "it counts from the start again"


def test_a_failed_try_opens_it_for_another_pause() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += PAUSE
    breaker.failed(entered(breaker))
    clock.now += PAUSE / 2
    assert breaker.enter() is None
    clock.now += PAUSE / 2
    breaker.succeeded(entered(breaker))
    assert not breaker.is_open


def test_a_try_that_was_given_up_leaves_room_for_the_next() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += PAUSE
    breaker.left(entered(breaker))
    breaker.succeeded(entered(breaker))
    assert not breaker.is_open


def test_what_began_before_it_opened_neither_closes_nor_prolongs_it() -> None:
    clock = Clock()
    breaker = Breaker(failures=FAILURES, pause=PAUSE, clock=clock)
    late, later = entered(breaker), entered(breaker)
    for _ in range(FAILURES):
        breaker.failed(entered(breaker))
    breaker.succeeded(late)
    assert breaker.is_open
    clock.now += PAUSE
    probe = entered(breaker)
    breaker.failed(later)
    breaker.succeeded(probe)
    assert not breaker.is_open


class AnyUse(RuleBasedStateMachine):
    """Whatever happens, in whatever order."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        self.breaker = Breaker(failures=FAILURES, pause=PAUSE, clock=self.clock)
        self.calls: list[int] = []
        self.probe: int | None = None

    @rule(seconds=st.floats(0, 2 * PAUSE))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def enter(self) -> None:
        was_open = self.breaker.is_open
        call = self.breaker.enter()
        assert (call is None) == was_open
        if call is not None:
            self.calls.append(call)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), outcome=st.sampled_from(("succeeded", "failed", "left")))
    def end(self, data: st.DataObject, outcome: str) -> None:
        call = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        getattr(self.breaker, outcome)(call)

    @invariant()
    def it_recovers_by_itself(self) -> None:
        """With every call at an end, the pause over and the endpoint well, one call is all it takes."""
        if self.calls:
            return
        self.clock.now += PAUSE
        self.breaker.succeeded(entered(self.breaker))
        assert not self.breaker.is_open


TestAnyUse = AnyUse.TestCase
