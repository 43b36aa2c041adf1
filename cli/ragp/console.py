"""The two consoles: results go to standard output, everything else to standard error."""

import re
import sys
import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ragp.errors import CommandError
from ragp.language import _, translate

_PIPE_WIDTH = 200
"""Columns of a table that no terminal shows; rich would cut it to 80."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All control characters but tab and line feed: what a document says must not drive the terminal."""


class PlainConsole(Console):
    """Prints texts as they are, without what a terminal would obey."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text passes here, those in tables included."""
        return super().render_str(_CONTROL.sub("", text), **options)


out = PlainConsole(
    highlight=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else _PIPE_WIDTH
)
err = PlainConsole(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def report_error(error: CommandError) -> None:
    wrong, cure = _("error:"), _("try:")
    width = max(len(wrong), len(cure))
    err.print(f"[red]{wrong:<{width}}[/red] {escape(translate(error.message))}")
    if error.cure is not None:
        err.print(f"[yellow]{cure:<{width}}[/yellow] {escape(translate(error.cure))}")


def report(message: str) -> None:
    """One line of progress with the time of day, on standard error; ``message`` in English."""
    err.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {translate(message)}")


def human_bytes(count: float) -> str:
    """1536 → ``1.5 KiB``."""
    if count < 1024:
        return f"{count:.0f} {_('B')}"
    for unit in (_("KiB"), _("MiB"), _("GiB")):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} {_('TiB')}"
