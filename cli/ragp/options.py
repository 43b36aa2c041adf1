"""Options that several commands share, and how they override the settings."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from ragp.errors import CommandError
from ragp.settings import CliSettings

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Directory of the embedded stack (RAGP_DATA_DIR).", show_default=False),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", help="Gateway to talk to (RAGP_URL); default: the running stack's.", show_default=False
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        help="API key; better in RAGP_API_KEY, as everyone here can read a command's options. "
        "Default: the running stack's.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings_from(**overrides: Any) -> CliSettings:
    """The settings, with the options that were given.

    :raises CommandError: a setting is not valid.
    """
    try:
        return CliSettings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = f"RAGP_{first['loc'][0]}".upper()
        raise CommandError(f"{name} is not valid: {first['msg']}") from error
