"""Keeps questions away from an endpoint that fails, so that they need not wait for its next failure."""

import time
from collections.abc import Callable

FAILURES = 3
"""In a row: one may be chance, and each may have cost somebody a minute."""
PAUSE = 15.0
"""Seconds before one question tries again; about what a restart of the endpoint takes."""


class Breaker:
    """A circuit breaker: closed, open for a while after some failures in a row, then half open for one call,
    whose outcome closes it or opens it again.

    ``clock`` returns seconds that never go backwards.
    """

    def __init__(
        self,
        *,
        failures: int = FAILURES,
        pause: float = PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None
        self._probing = False
        self._epoch = 0

    @property
    def is_open(self) -> bool:
        """Whether a call would be refused now."""
        return self._opened is not None and (self._probing or self._clock() < self._opened + self._pause)

    def enter(self) -> int | None:
        """Begin a call. Its number goes to exactly one of the methods below; ``None``: it is refused."""
        if self.is_open:
            return None
        self._probing = self._opened is not None
        return self._epoch

    def succeeded(self, call: int) -> None:
        if call != self._epoch:
            return
        self._failures = 0
        if self._opened is not None:
            self._opened, self._probing = None, False
            self._epoch += 1

    def failed(self, call: int) -> None:
        if call != self._epoch:
            return
        self._failures += 1
        if self._probing or self._failures >= self._limit:
            # Calls that began before are of an earlier epoch: what becomes of them says nothing about now.
            self._opened, self._probing, self._failures = self._clock(), False, 0
            self._epoch += 1

    def left(self, call: int) -> None:
        """Given up by whoever asked: nothing was learnt."""
        if call == self._epoch:
            self._probing = False
