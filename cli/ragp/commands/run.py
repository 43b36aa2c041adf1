"""``ragp up`` and ``ragp down``: the embedded stack's life."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer

from ragp.console import err, report
from ragp.errors import StackError
from ragp.language import ENGLISH, _
from ragp.options import DataDir, settings_from
from ragp.stack import DEFAULT_PORT, Stack
from ragp.stack.orphans import end_orphans
from ragp.stack.process import SupervisedProcess
from ragp.stack.state import DataDirectory, RunRecord

_START_SECONDS = 300.0
_STOP_SECONDS = 120.0
_POLL_SECONDS = 0.1

Port = Annotated[int, typer.Option(help="Port of the API; 0 takes a free one.", min=0, max=65535)]
Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="Return when all is ready; go on in the background.")
]
SpaceOption = Annotated[
    str | None,
    typer.Option(
        help="Embedding space to use, such as multilingual-e5-small-q4, if no document is missing in it; "
        "else it is served beside the active one. Default: the active one.",
        show_default=False,
    ),
]


def up(
    data_dir: DataDir = None,
    port: Port = DEFAULT_PORT,
    detach: Detach = False,
    space: SpaceOption = None,
) -> None:
    """Run the platform on this machine: nats-server, PostgreSQL and the five services."""
    directory = settings_from(data_dir=data_dir).data_dir
    if detach:
        start_detached(directory, port, space)
    else:
        asyncio.run(_run_until_signal(directory, port, space))


def down(data_dir: DataDir = None) -> None:
    """Stop the running platform; everything stays in the data directory."""
    directory = DataDirectory(settings_from(data_dir=data_dir).data_dir)
    if stop_running(directory):
        report("stopped")
    elif orphans := end_orphans(directory):
        report(f"the supervisor had died; ended what it left behind: {', '.join(orphans)}")
    else:
        report(f"nothing is running on {directory.root}")


async def _run_until_signal(data_dir: Path, port: int, space: str | None) -> None:
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked_to_stop.set)
    stack = Stack(data_dir, port=port, space=space, listener=_report_change)
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(asked_to_stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return
    try:
        await starting
        report(f"[green]ready[/green] at {stack.url} (state in {stack.directory.root}; Ctrl-C stops it)")
        if stack.notice is not None:
            report(stack.notice)
        await stopping
        report("stopping")
    finally:
        stopping.cancel()
        await stack.stop()


def _report_change(process: SupervisedProcess) -> None:
    record = process.record()
    colour = {"ready": "green", "backing-off": "red"}.get(record.state, "dim")
    restarts = _(", restarts {count}").format(count=record.restarts) if record.restarts else ""
    where = _(" pid {pid}, port {port}").format(pid=record.pid, port=record.port) if record.pid else ""
    report(f"{record.name:<10}[{colour}]{record.state}[/{colour}]{where}{restarts}")


def start_detached(data_dir: Path, port: int, space: str | None = None) -> RunRecord:
    """Start a supervisor in a session of its own and wait until all is ready.

    :raises StackError: it does not become ready; nothing is left running then.
    """
    directory = DataDirectory(data_dir)
    directory.create()
    log = directory.log("supervisor")
    command = [sys.executable, "-m", "ragp", "up", "--data-dir", str(directory.root), "--port", str(port)]
    command += ["--space", space] if space is not None else []
    with open(log, "ab") as output:
        log_start = log.stat().st_size
        supervisor = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/",
            # its log is English, like every log; what it says is translated here
            env={**os.environ, "LANGUAGE": ENGLISH},
        )  # fmt: skip
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        record = RunRecord.load(directory)
        if record is not None and record.pid == supervisor.pid and record.ready:
            report(f"[green]ready[/green] at {record.url} (state in {directory.root}; `ragp down` stops it)")
            if record.notice is not None:
                report(record.notice)
            return record
        if supervisor.poll() is not None:
            raise reported_error(_new_text(log, log_start))
        time.sleep(_POLL_SECONDS)
    supervisor.terminate()
    raise StackError(f"not ready after {_START_SECONDS:.0f} s; see {log}")


def stop_running(directory: DataDirectory) -> bool:
    """Ask the supervisor to stop and wait until all is gone; ``False`` when none runs.

    :raises StackError: it does not stop.
    """
    record = RunRecord.of_running(directory)
    supervisor = record.supervisor() if record is not None else None
    if record is None or supervisor is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor.terminate()
    try:
        supervisor.wait(_STOP_SECONDS)
    except psutil.TimeoutExpired as error:
        err.print(_("the supervisor does not stop: killing it"))
        supervisor.kill()
        supervisor.wait(5)
        end_orphans(directory)
        raise StackError("the stack had to be killed", cure=f"see {directory.log('supervisor')}") from error
    return True


def reported_error(text: str) -> StackError:
    """What the supervisor wrote before it ended, as :func:`ragp.console.report_error` writes it."""
    # The message may quote a log, with errors of its own; a line of a log begins otherwise.
    _, _, told = f"\n{text}".partition("\nerror: ")
    told = told or text
    message, separator, cure = told.rpartition("\ntry:")
    return StackError((message if separator else told).strip(), cure=cure.strip() if separator else None)


def _new_text(log: Path, start: int) -> str:
    with open(log, "rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace").strip()
