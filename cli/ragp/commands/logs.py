"""``ragp logs``: the ends of the processes' logs, or one followed as it grows."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ragp.console import out
from ragp.errors import CommandError
from ragp.language import _
from ragp.options import DataDir, settings_from
from ragp.stack.logs import last_lines
from ragp.stack.state import DataDirectory

_POLL_SECONDS = 0.2

Name = Annotated[str | None, typer.Argument(help="nats, postgres, a service, or supervisor; default: all.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is added.")]
Lines = Annotated[int, typer.Option("--lines", "-n", help="Lines of each log to begin with.", min=0)]


def logs(name: Name = None, data_dir: DataDir = None, follow: Follow = False, lines: Lines = 20) -> None:
    """Print the logs of the stack's processes."""
    directory = DataDirectory(settings_from(data_dir=data_dir).data_dir)
    chosen = _chosen(directory, name)
    for log in chosen:
        for line in last_lines(log, lines).splitlines():
            _print_line(log, line, several=len(chosen) > 1)
    if follow:
        _follow(chosen)


def _chosen(directory: DataDirectory, name: str | None) -> list[Path]:
    present = sorted(directory.logs.glob("*.log"))
    if name is None:
        if not present:
            raise CommandError(f"no logs in {directory.logs}", cure="start the stack: ragp up --detach")
        return present
    if directory.log(name) not in present:
        names = ", ".join(log.stem for log in present) or _("none yet")
        raise CommandError(f"there is no log named {name!r}", cure=f"logs: {names}")
    return [directory.log(name)]


def _follow(logs: list[Path]) -> None:
    """Until Ctrl-C. A log that has shrunk was rotated: it is read from its start again."""
    positions = {log: log.stat().st_size for log in logs}
    try:
        while True:
            for log in logs:
                size = log.stat().st_size
                start = positions[log] if positions[log] <= size else 0
                with open(log, "rb") as file:
                    file.seek(start)
                    complete, _, _ = file.read().rpartition(b"\n")
                if complete:
                    start += len(complete) + 1
                    for line in complete.decode(errors="replace").splitlines():
                        _print_line(log, line, several=len(logs) > 1)
                positions[log] = start
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        return


def _print_line(log: Path, line: str, *, several: bool) -> None:
    out.print(f"{log.stem:<10} {line}" if several else line, markup=False)
