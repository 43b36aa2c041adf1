"""typer in another language than English; the default does without this module."""

import gettext
import io
import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer._click import HelpFormatter
from typer._click.core import Command, Parameter
from typer._click.exceptions import ClickException

from rag_common.i18n import DOMAIN, LOCALES
from ragp.language import _, translate

Described = Command | Parameter


def run_localized(command: Command, *args: Any, **kwargs: Any) -> None:
    """Run the command line, with its help and its complaints about options translated.

    :raises SystemExit: always; with typer's exit codes.
    """
    # what typer itself takes from gettext: the titles of the help, and its notes on options
    gettext.bindtextdomain(DOMAIN, str(LOCALES))
    gettext.textdomain(DOMAIN)
    localize(command)
    try:
        code = command(*args, standalone_mode=False, **kwargs)
    except ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        sys.stderr.write(translate(shown.getvalue()))
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.stderr.write(_("Aborted!") + "\n")
        sys.exit(1)
    sys.exit(code)


def localize(command: Command) -> None:
    """Translate everything that the help shows."""
    for thing in described(command):
        thing.help = translate(described_text(thing))  # type: ignore[union-attr]  # options have it
        if isinstance(thing, Command):
            thing.context_class = _Context
            thing.options_metavar = thing.options_metavar and translate(thing.options_metavar)
            if hasattr(thing, "subcommand_metavar"):
                thing.subcommand_metavar = translate(thing.subcommand_metavar)


def described(command: Command) -> Iterator[Described]:
    """The command, its options and its commands, as far as they have a help text."""
    things: list[Described] = [command, *command.params]
    yield from (thing for thing in things if described_text(thing))
    for inner in getattr(command, "commands", {}).values():
        yield from described(inner)


def described_text(thing: Described) -> str:
    """The help text, or nothing."""
    return getattr(thing, "help", None) or ""


class _Formatter(HelpFormatter):
    """Translates what typer writes without asking gettext."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, prefix if prefix is not None else _("Usage:") + " ")

    def write_dl(self, rows: Any, *args: Any, **kwargs: Any) -> None:
        super().write_dl([(term, translate(text)) for term, text in rows], *args, **kwargs)


class _Context(typer.Context):
    formatter_class = _Formatter
