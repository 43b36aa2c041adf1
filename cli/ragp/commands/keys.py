"""``ragp key``: the bootstrap API key."""

import typer

from ragp.console import out
from ragp.errors import CommandError
from ragp.options import DataDir, settings_from
from ragp.stack.state import DataDirectory

app = typer.Typer(help="The API key of the embedded stack.", no_args_is_help=True)


@app.command("show")
def show(data_dir: DataDir = None) -> None:
    """Print the API key that the gateway created at its first start."""
    directory = DataDirectory(settings_from(data_dir=data_dir).data_dir)
    key = directory.api_key()
    if key is None:
        raise CommandError(
            f"there is no API key in {directory.root} yet", cure="start the stack: ragp up --detach"
        )
    out.print(key, markup=False)
