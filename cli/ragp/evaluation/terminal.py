"""The report for a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ragp.evaluation.comparing import Comparison
from ragp.evaluation.report import Report
from ragp.evaluation.scoring import title_of
from ragp.evaluation.summary import Figure, Summary
from ragp.language import _, translate

_PROBLEMS = 5
_WORST = 5


def print_report(report: Report, console: Console) -> None:
    for part in _parts(report):
        console.print(part)


def _parts(report: Report) -> Iterator[Table | str]:
    yield from _warnings(report)
    yield _figures(report)
    for summary in report.summaries:
        if summary.groups:
            yield "\n" + _("[bold]{name}[/bold], by group").format(name=escape(summary.name))
            yield _groups(summary)
    for comparison in report.comparisons:
        yield "\n" + _("[bold]{second}[/bold] against {first}").format(
            second=escape(comparison.second), first=escape(comparison.first)
        )
        yield _changes(comparison)
    yield from _worst(report.summaries[0])


def _warnings(report: Report) -> Iterator[str]:
    for summary in report.summaries:
        for kind, count, told in (
            (
                "error",
                summary.errors,
                _("{name}: {count} of {asked} questions got no answer; they are in no figure:"),
            ),
            (
                "degraded",
                summary.degraded,
                _("{name}: {count} of {asked} questions got a degraded answer; they are in no figure:"),
            ),
        ):
            if count:
                line = told.format(name=escape(summary.name), count=count, asked=summary.asked)
                yield f"[yellow]{line}[/]"
                listed = [problem for problem in summary.problems if problem.kind == kind][:_PROBLEMS]
                yield from (
                    f"  {escape(problem.id)}  {escape(problem.question)}: {escape(translate(problem.reason))}"
                    for problem in listed
                )
    if report.missing:
        told = _("expected documents that are not searchable, or misspelt: {names}; they count as not found")
        yield f"[yellow]{told.format(names=escape(_some(report.missing)))}[/]"
    if report.ambiguous:
        told = _("these references mean several documents each, and any of them counts as found: {names}")
        yield f"[yellow]{told.format(names=escape(_some(list(report.ambiguous))))}[/]"
        for reference, documents in list(report.ambiguous.items())[:_PROBLEMS]:
            yield f"  {escape(reference)}: {escape(_some(documents))}"


def _some(names: Sequence[str]) -> str:
    """The first ones, and how many there are besides."""
    listed = ", ".join(names[:_PROBLEMS])
    rest = len(names) - _PROBLEMS
    return f"{listed} " + _("and {count} more").format(count=rest) if rest > 0 else listed


def _table(*columns: str, left: int = 1) -> Table:
    """The first ``left`` columns hold words, the others numbers."""
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(escape(column), justify="left" if number < left else "right", overflow="fold")
    return table


def _figures(report: Report) -> Table:
    table = _table("", *(summary.name for summary in report.summaries))
    for metric in _all_metrics(report):
        cells = (_with_interval(summary.figures.get(metric)) for summary in report.summaries)
        table.add_row(translate(title_of(metric)), *cells)
    table.add_row(_("questions scored"), *(_scored(summary) for summary in report.summaries))
    table.add_row(
        _("answer time, p50 / p95"),
        *(
            _("{p50} / {p95} ms").format(p50=f"{summary.p50_ms:.0f}", p95=f"{summary.p95_ms:.0f}")
            for summary in report.summaries
        ),
    )
    return table


def _all_metrics(report: Report) -> list[str]:
    return list(dict.fromkeys(metric for summary in report.summaries for metric in summary.figures))


def _with_interval(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return f"{figure.mean:.3f} [dim]{figure.low:.3f}-{figure.high:.3f}[/dim]"


def _scored(summary: Summary) -> str:
    scored = summary.asked - summary.errors - summary.degraded
    return _("{scored} of {asked}").format(scored=scored, asked=summary.asked)


def _groups(summary: Summary) -> Table:
    table = _table(
        "", "", _("questions"), *(translate(title_of(metric)) for metric in summary.figures), left=2
    )
    for group in summary.groups:
        cells = (
            f"{group.figures[metric]:.3f}" if metric in group.figures else "-" for metric in summary.figures
        )
        table.add_row(group.kind, escape(group.name), str(group.questions), *cells)
    return table


def _changes(comparison: Comparison) -> Table:
    table = _table("", _("difference"), _("95% interval"), "p", _("better"), _("worse"))
    for metric, change in comparison.changes.items():
        colour = ("green" if change.difference > 0 else "red") if change.significant else "dim"
        table.add_row(
            translate(title_of(metric)),
            f"[{colour}]{change.difference:+.3f}[/]",
            _("{low} to {high}").format(low=f"{change.low:+.3f}", high=f"{change.high:+.3f}"),
            f"{change.p_value:.4f}",
            str(change.better),
            str(change.worse),
        )
    return table


def _worst(summary: Summary) -> Iterator[str]:
    if not summary.worst:
        return
    yield "\n" + _("[bold]worst questions[/bold], {name}").format(name=escape(summary.name))
    expected, came_back = _("expected"), _("came back")
    width = max(len(expected), len(came_back))
    for worst in summary.worst[:_WORST]:
        yield f"{worst.value:.3f}  [bold]{escape(worst.question)}[/bold]  [dim]{escape(worst.id)}[/dim]"
        yield f"       {expected:<{width}} {escape(', '.join(worst.expected))}"
        for found in worst.returned[:2]:
            colour = "green" if found.expected else "dim"
            yield f"       {came_back:<{width}} [{colour}]{escape(found.title)}[/]: {escape(found.text[:80])}"
        if not worst.returned:
            yield "       " + _("nothing came back")
