"""How much work may go through the encoder at once."""

SMOOTHING = 0.1
"""Weight of the newest slice in the moving average of the speed."""
LEAST_TOKENS = 128
"""Below this the fixed cost of a slice outweighs the work in it."""


class SliceBudget:
    """The token budget of a slice: at most ``most`` tokens, and at most about ``seconds`` long.

    A running slice is never interrupted, so its length is what a query may have to wait for. The
    budget therefore follows the speed that the encoder really has, which depends on the processor,
    the number type, and on whoever else is using the machine.
    """

    def __init__(self, most: int, seconds: float) -> None:
        if most < 1 or seconds <= 0:
            raise ValueError("a slice needs room for at least one token and some time")
        self._most = most
        self._least = min(LEAST_TOKENS, most)
        self._seconds = seconds
        self._rate: float | None = None

    @property
    def tokens(self) -> int:
        """Largest number of texts times tokens of the longest text, in one slice."""
        if self._rate is None:
            return self._most
        return max(self._least, min(self._most, int(self._rate * self._seconds)))

    def observe(self, tokens: int, seconds: float) -> None:
        """A slice of ``tokens``, padding included, took ``seconds``."""
        # A small slice costs little more than calling the model and says nothing about its speed.
        if seconds <= 0 or tokens < self._least:
            return
        rate = tokens / seconds
        self._rate = rate if self._rate is None else self._rate + SMOOTHING * (rate - self._rate)
