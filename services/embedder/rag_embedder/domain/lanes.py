"""Which texts are encoded next, and which of them together."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from rag_embedder.domain.encoder import Encoder, Priority
from rag_embedder.domain.work import Slice, Text

Budgets = Callable[[Encoder], int]
"""The token budget of an encoder's slices: encoders differ in speed."""

WINDOW_SLICES = 12
"""A window sorts this many slices' worth of texts: enough for slices of nearly equal lengths."""
MAX_PADDING = 1 / 8
"""Share of the budget that padding may take, before another slice is cheaper."""


class Lane:
    """The texts of one priority: first come first served by windows, the longest first in each.

    Sorting everything that waits instead would let a stream of long texts pass a short one for ever.
    A window holds texts of one encoder: it ends where those of another one begin. Texts whose request
    is settled are dropped on the way.
    """

    def __init__(self, priority: Priority) -> None:
        self._priority = priority
        self._arrived: deque[Sequence[Text]] = deque()
        self._window: list[Text] = []
        self._retries: deque[Slice] = deque()

    def add(self, texts: Sequence[Text]) -> None:
        """Put all texts of one request at the end."""
        self._arrived.append(texts)

    def retry(self, slices: Sequence[Slice]) -> None:
        """Have these slices encoded next, each as it is; each holds texts of one request."""
        self._retries.extend(slices)

    def __bool__(self) -> bool:
        while self._retries and self._retries[0].texts[0].request.settled:
            self._retries.popleft()
        while self._window and self._window[-1].request.settled:
            self._window.pop()
        while self._arrived and self._arrived[0][0].request.settled:
            self._arrived.popleft()
        return bool(self._retries or self._window or self._arrived)

    def __len__(self) -> int:
        """Texts that wait, those of settled requests included."""
        waiting = (*(one.texts for one in self._retries), self._window, *self._arrived)
        return sum(map(len, waiting))

    def take(self, budgets: Budgets) -> Slice:
        """Remove the next slice; the lane must not be empty.

        Its texts times the tokens of its longest text are at most the budget of its encoder, unless it
        is a single text.
        """
        if self._retries:
            return self._retries.popleft()
        if not self._window:
            encoder = self._arrived[0][0].request.encoder
            self._open_window(encoder, budgets(encoder) * WINDOW_SLICES)
        budget = budgets(self._window[-1].request.encoder)
        return Slice(self._priority, tuple(self._cut(budget)))

    def _open_window(self, encoder: Encoder, size: int) -> None:
        while self._arrived and self._arrived[0][0].request.encoder is encoder and size > 0:
            texts = self._arrived.popleft()
            self._window.extend(texts)
            size -= sum(text.length for text in texts)
        # Popping from the end then yields equally long texts in the order of their arrival.
        self._window.reverse()
        self._window.sort(key=lambda text: text.length)

    def _cut(self, budget: int) -> Iterator[Text]:
        longest = count = padding = 0
        while self._window:
            text = self._window[-1]
            if not text.request.settled:
                longest = longest or text.length
                count += 1
                padding += longest - text.length
                if count > 1 and (count * longest > budget or padding > budget * MAX_PADDING):
                    return
                yield text
            self._window.pop()


class Lanes:
    """The highest priority goes first, but a lower lane keeps its minimum share.

    ``shares`` maps a lane to its share (0 to below 1) of the slices that are encoded while it has
    work and a higher lane has too; a slice that is not full counts less. A share that is not used is
    not saved up.
    """

    def __init__(self, shares: Mapping[Priority, float]) -> None:
        if any(not 0 <= share < 1 for share in shares.values()):
            raise ValueError("a lane's share is at least 0 and below 1")
        self._lanes = {priority: Lane(priority) for priority in Priority}
        self._gain = {priority: share / (1 - share) for priority, share in shares.items()}
        self._credit = dict.fromkeys(Priority, 0.0)

    def __getitem__(self, priority: Priority) -> Lane:
        return self._lanes[priority]

    def take(self, budgets: Budgets) -> Slice | None:
        """Remove the slice that goes next; ``None`` when nothing waits."""
        waiting = [priority for priority, lane in self._lanes.items() if lane]
        for priority in Priority:
            if priority not in waiting:
                self._credit[priority] = 0.0
        if not waiting:
            return None
        chosen = next((p for p in reversed(waiting[1:]) if self._credit[p] >= 1), waiting[0])
        taken = self._lanes[chosen].take(budgets)
        slices = taken.cost / budgets(taken.encoder)
        self._credit[chosen] = max(0.0, self._credit[chosen] - slices)
        for priority in waiting:
            if priority > chosen:
                self._credit[priority] += slices * self._gain.get(priority, 0.0)
        return taken
