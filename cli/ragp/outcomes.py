"""What became of the documents of one command, and how that is shown."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ragp.console import err, out
from ragp.language import _, translate

GOOD = frozenset({"live", "unchanged", "updated", "superseded"})
"""``superseded``: a newer upload of the same document has taken its place."""
_COLOURS = {"live": "green", "unchanged": "dim", "updated": "green", "superseded": "dim"}


@dataclass(frozen=True)
class Outcome:
    """The end of one document's way; ``reason`` where it is not good."""

    path: Path
    state: str
    document_id: str | None = None
    generation: int = 0
    reason: str = ""

    @property
    def good(self) -> bool:
        return self.state in GOOD


def progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )


def print_summary(outcomes: Sequence[Outcome]) -> None:
    """Counts by state, and each document that did not make it with the reason."""
    bad = [outcome for outcome in outcomes if not outcome.good]
    if bad:
        table = Table(box=None, pad_edge=False)
        for title in (_("document"), _("state"), _("reason")):
            table.add_column(title, overflow="fold")
        for outcome in bad:
            table.add_row(
                escape(_printable(outcome.path)),
                f"[red]{outcome.state}[/red]",
                escape(translate(outcome.reason)),
            )
        out.print(table)
    out.print(", ".join(_counts(outcomes)) or _("nothing to do"))


def _printable(path: Path) -> str:
    # A name may hold bytes that are not UTF-8.
    return os.fsencode(path.name).decode(errors="replace")


def exit_code(outcomes: Iterable[Outcome]) -> None:
    """:raises typer.Exit: with code 1 if any document failed."""
    if any(not outcome.good for outcome in outcomes):
        raise typer.Exit(1)


def _counts(outcomes: Iterable[Outcome]) -> list[str]:
    counts = Counter(outcome.state for outcome in outcomes)
    return [
        f"[{_COLOURS.get(state, 'red')}]{_counted(state, number)}[/]"
        for state, number in counts.most_common()
    ]


def _counted(state: str, count: int) -> str:
    templates = {
        "live": _("{count} live"),
        "unchanged": _("{count} unchanged"),
        "updated": _("{count} updated"),
        "superseded": _("{count} superseded"),
        "failed": _("{count} failed"),
        "rejected": _("{count} rejected"),
        "deleting": _("{count} deleting"),
        "deleted": _("{count} deleted"),
        "refused": _("{count} refused"),
        "unreadable": _("{count} unreadable"),
    }
    return templates.get(state, f"{{count}} {state}").format(count=count)
