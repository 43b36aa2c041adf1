"""Packs units into chunks: full ones, of about the same size, that end where a reader would pause.

The cuts are the cheapest set of all, found by dynamic programming over the units, as lines of a
paragraph are broken in: Knuth and Plass, Breaking Paragraphs into Lines, 1981.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rag_ingest.domain.blocks import Pause

GRAIN = 1 / 16
"""Neighbours whose common size is below this share of a chunk are packed as one. So no chunk holds more
than about twice as many units as that, and the time is linear in the text."""

_FULL = 1 + 1e-9
"""Of sizes that are added up in floating point."""
_CUT_COSTS = {
    Pause.HEADING: 4.0,
    Pause.WORDS: 2.0,
    Pause.CLAUSE: 1.5,
    Pause.LINE: 1.2,
    Pause.SENTENCE: 1.0,
    Pause.ITEM: 0.0,
    Pause.PARAGRAPH: 0.0,
    Pause.SECTION: 0.0,
}
"""Of a cut at a pause, where an empty chunk costs 1: rather a half-full chunk than a torn paragraph. Of the
gold characters within 4,000 (mean over chunks of 90-120 words) hybrid search finds .832 so, and .826 at a
fifth of these costs."""


class Sized(NamedTuple):
    """A unit with its size: 1 fills a chunk."""

    end: int
    pause: Pause
    size: float


def pack(units: Sequence[Sized]) -> list[int]:
    """Where the chunks end; the last is the end of the last unit. None is larger than 1 if no unit is."""
    units = _coarse(units)
    costs, previous = [0.0], [0]
    for last in range(len(units)):
        size, best, begin = 0.0, float("inf"), last
        for first in range(last, -1, -1):
            size += units[first].size
            if size > _FULL and first < last:
                break
            cost = costs[first] + (1 - min(size, 1.0)) ** 2
            if cost < best:
                best, begin = cost, first
        closes = last + 1 == len(units)
        costs.append(best + (0.0 if closes else _CUT_COSTS[units[last].pause]))
        previous.append(begin)
    ends: list[int] = []
    index = len(units)
    while index:
        ends.append(units[index - 1].end)
        index = previous[index]
    return ends[::-1]


def _coarse(units: Sequence[Sized]) -> list[Sized]:
    """Units smaller than a grain, joined with what follows them."""
    joined: list[Sized] = []
    for unit in units:
        if joined and joined[-1].size + unit.size <= GRAIN:
            joined[-1] = Sized(unit.end, unit.pause, joined[-1].size + unit.size)
        else:
            joined.append(unit)
    return joined
