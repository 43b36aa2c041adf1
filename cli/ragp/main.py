"""``ragp``: run and operate the platform from a terminal."""

import sys
from typing import Any

import typer

from ragp.commands import (
    ask,
    doctor,
    documents,
    drop,
    evaluate,
    ingest,
    keys,
    logs,
    migrate,
    models,
    provision,
    run,
    search,
    spaces,
    status,
    version,
)
from ragp.console import report_error
from ragp.errors import CommandError
from ragp.language import ENGLISH, LANGUAGE


class CommandLine(typer.Typer):
    """A :class:`CommandError` ends a command with its message and its cure, not with a traceback."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if LANGUAGE == ENGLISH:
                return super().__call__(*args, **kwargs)
            # imported here: English does without it
            from ragp.localized import run_localized

            return run_localized(typer.main.get_command(self), *args, **kwargs)
        except CommandError as error:
            report_error(error)
            sys.exit(1)


app = CommandLine(
    help="Run and operate a RAG platform.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("up")(run.up)
app.command("down")(run.down)
app.command("status")(status.status)
app.command("logs")(logs.logs)
app.command("doctor")(doctor.doctor)
app.command("provision")(provision.provision)
app.command("migrate")(migrate.migrate)
app.command("ingest")(ingest.ingest)
app.command("drop")(drop.drop)
app.command("search")(search.search)
app.command("ask")(ask.ask)
app.command("chat")(ask.chat)
app.command("eval")(evaluate.evaluate)
app.add_typer(documents.app, name="documents")
app.add_typer(spaces.app, name="spaces")
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="key")
app.command("version")(version.version)
