"""``ragp status``: what runs, how much memory it takes, and what waits in the queues."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Annotated

import nats.errors
import nats.js.errors
import psutil
import typer
from nats.js import JetStreamContext
from rich.table import Table

from rag_common.topology import Topology
from ragp.console import human_bytes, out
from ragp.errors import CommandError
from ragp.language import _
from ragp.nats_client import connected
from ragp.options import AsJson, DataDir, settings_from
from ragp.settings import CliSettings
from ragp.stack.probe import http_ok
from ragp.stack.state import SERVICES, ProcessRecord, RunRecord
from ragp.target import find_nats, running_stack

ProducerOption = Annotated[
    bool, typer.Option("--producer", help="Print the variables that a program needs to drop documents.")
]


@dataclass(frozen=True)
class ProcessStatus:
    """``rss`` in bytes, with the process's own children."""

    name: str
    pid: int | None
    state: str
    restarts: int
    rss: int
    ready: bool


@dataclass(frozen=True)
class QueueStatus:
    """``waiting``: not yet delivered; ``working``: delivered, not yet acknowledged."""

    consumer: str
    waiting: int
    working: int


def status(data_dir: DataDir = None, as_json: AsJson = False, producer: ProducerOption = False) -> None:
    """Show the processes of the running stack and the depth of its queues."""
    settings = settings_from(data_dir=data_dir)
    if producer:
        _print_producer(settings)
        return
    record = running_stack(settings)
    processes, queues = asyncio.run(_collect(settings, record))
    if as_json:
        out.print_json(
            data={
                "url": record.url,
                "ready": all(process.ready for process in processes),
                "processes": [asdict(process) for process in processes],
                "queues": [asdict(queue) for queue in queues],
            }
        )
        return
    out.print(f"[bold]{record.url}[/bold]  " + _("(supervisor pid {pid})").format(pid=record.pid))
    out.print(_process_table(processes))
    unreadable = _("the queues cannot be read: NATS does not answer")
    out.print(_queue_table(queues) if queues else f"[red]{unreadable}[/red]")


def _print_producer(settings: CliSettings) -> None:
    """As lines that a shell can export: what a program of the user's own needs to drop documents."""
    target = find_nats(settings, "producer")
    for name, value in (
        ("NATS_URL", target.url),
        ("NATS_USER", target.user),
        ("NATS_PASSWORD", target.password),
        ("NATS_INBOX", target.inbox),
    ):
        out.print(f"{name}={value or ''}", markup=False)


async def _collect(settings: CliSettings, record: RunRecord) -> tuple[list[ProcessStatus], list[QueueStatus]]:
    processes = [_supervisor_status(record)]
    processes += await asyncio.gather(*(_process_status(entry) for entry in record.processes))
    try:
        queues = await queue_depths(settings)
    except CommandError:
        queues = []
    return processes, queues


def _supervisor_status(record: RunRecord) -> ProcessStatus:
    supervisor = record.supervisor()
    rss = supervisor.memory_info().rss if supervisor is not None else 0
    return ProcessStatus("supervisor", record.pid, "ready", 0, rss, supervisor is not None)


async def _process_status(entry: ProcessRecord) -> ProcessStatus:
    ready = entry.state == "ready"
    if entry.name in SERVICES and entry.port is not None:
        ready = await http_ok(entry.port, "/readyz")
    process = entry.process()
    return ProcessStatus(
        name=entry.name,
        pid=entry.pid,
        state=entry.state,
        restarts=entry.restarts,
        rss=resident_bytes(process) if process is not None else 0,
        ready=ready and process is not None,
    )


def resident_bytes(process: psutil.Process) -> int:
    """Resident memory of a process and all its descendants; shared pages count once for each."""
    total = 0
    for member in (process, *process.children(recursive=True)):
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


async def queue_depths(settings: CliSettings) -> list[QueueStatus]:
    """One entry per durable consumer. :raises CommandError: NATS does not answer."""
    topology = Topology(settings.namespace)
    async with connected(find_nats(settings, "operator")) as client:
        jetstream = client.jetstream()
        return [await _queue(jetstream, spec.stream, spec.name) for spec in topology.consumers]


async def _queue(jetstream: JetStreamContext, stream: str, consumer: str) -> QueueStatus:
    try:
        info = await jetstream.consumer_info(stream, consumer)
    except (nats.js.errors.Error, nats.errors.Error) as error:
        raise CommandError(f"consumer {consumer} cannot be read: {error}", cure="ragp provision") from error
    return QueueStatus(consumer, info.num_pending or 0, info.num_ack_pending or 0)


def _process_table(processes: list[ProcessStatus]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(_("process"))
    table.add_column("pid", justify="right")
    table.add_column(_("state"))
    table.add_column(_("restarts"), justify="right")
    table.add_column(_("memory"), justify="right")
    table.add_column(_("ready"))
    yes, no = f"[green]{_('yes')}[/green]", f"[red]{_('no')}[/red]"
    for process in processes:
        table.add_row(
            process.name,
            str(process.pid or "-"),
            process.state,
            str(process.restarts),
            human_bytes(process.rss),
            yes if process.ready else no,
        )
    table.add_row(
        _("total"), "", "", "", human_bytes(sum(process.rss for process in processes)), "", style="bold"
    )
    return table


def _queue_table(queues: list[QueueStatus]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(_("queue"))
    table.add_column(_("waiting"), justify="right")
    table.add_column(_("in work"), justify="right")
    for queue in queues:
        table.add_row(queue.consumer, str(queue.waiting), str(queue.working))
    return table
