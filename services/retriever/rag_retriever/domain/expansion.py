"""Reading wide: a found chunk is joined with its neighbours of the same section.

A widened passage stays under one heading path and on one page, slide or sheet, so that the place it names
stays right, and within the budget, unless the found chunk alone is longer. Passages of one answer never
overlap: a chunk that an earlier passage holds is no passage of its own, and no later passage takes it.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from rag_common.contracts import Place
from rag_retriever.domain.candidates import Candidate
from rag_retriever.domain.ports import NeighbourText

SHORT_CHUNK = 100
"""Characters. Neighbours are fetched by number, so many as there are if they are of this length."""

Chunks = Mapping[int, NeighbourText]
"""Chunks of one generation by number."""


class Window(NamedTuple):
    """Chunks ``first`` to ``last`` of a generation, as far as they lie between two offsets."""

    document_id: str
    generation: int
    first: int
    last: int
    start: int
    end: int


def windows(candidates: Iterable[Candidate], budget: int) -> list[Window]:
    """Where the neighbours of the candidates can be; those of one generation do not overlap."""
    reach = 1 + budget // SHORT_CHUNK
    merged: list[Window] = []
    for candidate in sorted(candidates, key=lambda candidate: candidate.key):
        document_id, generation, no = candidate.key
        row = candidate.row
        start, end = min(row.start, row.end - budget), max(row.end, row.start + budget)
        window = Window(document_id, generation, max(0, no - reach), no + reach, start, end)
        last = merged[-1] if merged else None
        if last is not None and last[:2] == window[:2] and window.first <= last.last:
            # sorted by number: the window begins and ends no earlier than the last one
            bounds = min(last.start, start), max(last.end, end)
            merged[-1] = Window(document_id, generation, last.first, window.last, *bounds)
        else:
            merged.append(window)
    return merged


@dataclass(slots=True)
class WidePassage:
    """Chunks that follow each other, around the one that was found."""

    found: Candidate
    chunks: list[NeighbourText]
    also_found: list[Candidate] = field(default_factory=list)
    """Candidates that this passage holds, itself or as a near-duplicate."""

    @property
    def text(self) -> str:
        """Exactly the extracted text from the start of the first chunk to the end of the last one."""
        parts = [_continuation(left, right) or "" for left, right in pairwise(self.chunks)]
        return self.chunks[0].text + "".join(parts)

    @property
    def place(self) -> Place:
        """The part that all chunks are of; in a sheet with the rows of all of them."""
        place = self.chunks[0].place
        rows = [chunk.place.rows for chunk in self.chunks if chunk.place.rows is not None]
        if not rows:
            return place
        span = (min(first for first, _ in rows), max(last for _, last in rows))
        return place.model_copy(update={"rows": span})


class WidePassages:
    """Takes candidates in their order and makes passages of at most ``budget`` characters of them."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._holders: dict[tuple[str, int, int], WidePassage] = {}
        self.passages: list[WidePassage] = []

    def absorb(self, candidate: Candidate) -> bool:
        """Whether a passage holds the candidate, or a near-duplicate of it, already."""
        for member in (candidate, *candidate.copies):
            holder = self._holders.get(member.key)
            if holder is not None:
                holder.also_found.append(candidate)
                return True
        return False

    def add(self, candidate: Candidate, chunks: Chunks) -> None:
        """Make a passage of it. ``chunks``: of its generation, the candidate's own among them."""
        document_id, generation, no = candidate.key
        taken = {other for other in chunks if (document_id, generation, other) in self._holders}
        numbers = _widened(no, chunks, taken, self._budget)
        passage = WidePassage(candidate, [chunks[number] for number in numbers])
        self._holders.update({(document_id, generation, number): passage for number in numbers})
        self.passages.append(passage)


def _widened(no: int, chunks: Chunks, taken: Collection[int], budget: int) -> range:
    """The chunks that are joined: by turns the next one and the one before, as long as they fit.

    A side is closed by the first chunk that cannot be joined.
    """
    first = last = no
    sides = deque([1, -1])
    while sides:
        side = sides.popleft()
        number = last + 1 if side > 0 else first - 1
        chunk = chunks.get(number)
        if chunk is None or number in taken or not _joins(chunks, number, number - side):
            continue
        low, high = min(first, number), max(last, number)
        if chunks[high].end - chunks[low].start <= budget:
            first, last = low, high
            sides.append(side)
    return range(first, last + 1)


def _joins(chunks: Chunks, number: int, other: int) -> bool:
    left, right = chunks[min(number, other)], chunks[max(number, other)]
    return (
        left.heading == right.heading
        and _part(left.place) == _part(right.place)
        and _continuation(left, right) is not None
    )


def _part(place: Place) -> tuple[int | None, int | None, str | None]:
    return place.page, place.slide, place.sheet


def _continuation(left: NeighbourText, right: NeighbourText) -> str | None:
    """The text from the end of ``left`` to the end of ``right``; ``None``: not known."""
    overlap = left.end - right.start
    if overlap >= 0:
        return right.text[overlap:] if right.end >= left.end else None
    if right.gap is None or len(right.gap) != -overlap:
        return None
    return right.gap + right.text
