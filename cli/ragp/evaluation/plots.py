"""Small plots as SVG, to stand in a page; colours come from its style sheet (classes ``s0``, ``s1``...).

Written by hand: the plots are rectangles and labels, and a plotting library would be heavier than the
command line.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

WIDTH = 720
_LABEL, _VALUE = 210, 60
"""Pixels left and right of the bars."""
_BAR, _GAP = 14, 10
_SERIES = 6
"""Colours in the style sheet; they repeat."""

Bar = tuple[float, float, float] | float | None
"""A value from 0 to 1, with its interval where it is known."""


def bars(title: str, rows: Mapping[str, Sequence[Bar]]) -> str:
    """Horizontal bars from 0 to 1: a row for each name, in it a bar for each series."""
    shapes, y = [], 20.0
    for name, values in rows.items():
        middle = y + _BAR * len(values) / 2 + 4
        shapes.append(_text(_LABEL - 8, middle, name, anchor="end"))
        for series, value in enumerate(values):
            shapes += _bar(y, series, value)
            y += _BAR
        y += _GAP
    ticks = [
        f'<line class="grid" x1="{_x(tick):.1f}" x2="{_x(tick):.1f}" y1="14" y2="{y - _GAP:.0f}"/>'
        + _text(_x(tick), 10, f"{tick:.2g}", anchor="middle", kind="tick")
        for tick in (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    return _svg(title, y, [*ticks, *shapes])


def _x(value: float) -> float:
    return _LABEL + value * (WIDTH - _LABEL - _VALUE)


def _bar(y: float, series: int, value: Bar) -> Iterable[str]:
    if value is None:
        return [_text(_LABEL + 4, y + _BAR - 3, "-", kind="tick")]
    mean, low, high = value if isinstance(value, tuple) else (value, None, None)
    shapes = [_rectangle(_LABEL, y, _x(mean) - _LABEL, _BAR - 2, series)]
    if low is not None and high is not None:
        middle = y + _BAR / 2 - 1
        shapes.append(
            f'<path class="whisker" d="M{_x(low):.1f} {middle:.1f}H{_x(high):.1f}'
            f'M{_x(low):.1f} {middle - 3:.1f}v6M{_x(high):.1f} {middle - 3:.1f}v6"/>'
        )
    shapes.append(_text(WIDTH - _VALUE + 12, y + _BAR - 3, f"{mean:.3f}", kind="tick"))
    return shapes


def histogram(title: str, series: Sequence[Sequence[int]]) -> str:
    """Columns over ten equal steps from 0 to 1."""
    height, left = 160, 40
    step = (WIDTH - left - 10) / 10
    most = max((count for counts in series for count in counts), default=0) or 1
    shapes = [f'<line class="grid" x1="{left}" x2="{WIDTH - 10}" y1="{height}" y2="{height}"/>']
    width = (step - 6) / len(series)
    for number, counts in enumerate(series):
        for position, count in enumerate(counts):
            tall = (height - 20) * count / most
            x = left + position * step + 3 + number * width
            shapes.append(_rectangle(x, height - tall, width - 1, tall, number))
            if count:
                shapes.append(
                    _text(x + width / 2, height - tall - 3, str(count), anchor="middle", kind="tick")
                )
    shapes += [
        _text(left + position * step, height + 14, f"{position / 10:.1f}", anchor="middle", kind="tick")
        for position in range(11)
    ]
    return _svg(title, height + 22, shapes)


def differences(title: str, values: Sequence[float]) -> str:
    """One thin column for each value from -1 to 1, in the given order, around a line at 0."""
    height, left = 180, 40
    width = min((WIDTH - left - 10) / max(len(values), 1), 2 * _BAR)
    zero = height / 2
    shapes = [
        f'<line class="grid" x1="{left}" x2="{WIDTH - 10}" y1="{y:.0f}" y2="{y:.0f}"/>'
        + _text(left - 6, y + 4, label, anchor="end", kind="tick")
        for y, label in ((10, "+1"), (zero, "0"), (height - 10, "-1"))
    ]
    for number, value in enumerate(values):
        tall = abs(value) * (zero - 10)
        top = zero - tall if value > 0 else zero
        colour = 2 if value > 0 else 1
        shapes.append(_rectangle(left + number * width, top, max(width - 0.5, 0.5), tall, colour))
    return _svg(title, height, shapes)


def _rectangle(x: float, y: float, width: float, height: float, series: int) -> str:
    return (
        f'<rect class="s{series % _SERIES}" x="{x:.1f}" y="{y:.1f}"'
        f' width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "label") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: float, shapes: Iterable[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}"'
        f' height="{height:.0f}"><title>{escape(title)}</title>{"".join(shapes)}</svg>'
    )
