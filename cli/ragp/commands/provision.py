"""``ragp provision``: bring NATS to what this release needs."""

import asyncio
from typing import Annotated

import typer

from rag_common.errors import TransientError
from rag_common.provision import Drift
from rag_common.provision import provision as provision_topology
from rag_common.topology import Topology
from ragp.console import out
from ragp.errors import CommandError
from ragp.language import _, translate
from ragp.nats_client import REQUEST_SECONDS, connected
from ragp.options import DataDir, settings_from
from ragp.settings import CliSettings
from ragp.target import find_nats

DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; exit code 1 if anything differs.")]


def provision(data_dir: DataDir = None, dry_run: DryRun = False) -> None:
    """Create or update streams, consumers and buckets, and report what differed. Deletes nothing."""
    settings = settings_from(data_dir=data_dir)
    drifts = asyncio.run(_provision(settings, dry_run=dry_run))
    for drift in drifts:
        out.print(translate(str(drift)), markup=False)
    if not drifts:
        out.print(_("nothing differs"))
    if any(not drift.fixed for drift in drifts):
        raise typer.Exit(1)


async def _provision(settings: CliSettings, *, dry_run: bool) -> tuple[Drift, ...]:
    topology = Topology(settings.namespace, settings.replicas, (settings.tenant,))
    async with connected(find_nats(settings, "operator")) as client:
        try:
            return await provision_topology(
                client.jetstream(timeout=REQUEST_SECONDS), topology, dry_run=dry_run
            )
        except TransientError as error:
            raise CommandError(error.message, cure="ragp logs nats") from error
