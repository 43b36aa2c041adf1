"""``ragp provision`` and ``ragp migrate``: bring NATS and PostgreSQL to what this release needs."""

import asyncio
from typing import Annotated

import typer

from ragp.console import out
from ragp.migrations import current, head, upgrade
from ragp.options import DataDir, settings_from
from ragp.target import find_database

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only report what differs; exit code 1 if anything does.")
]


def provision(data_dir: DataDir = None, dry_run: DryRun = False) -> None:
    """Create or update the streams, consumers and buckets; report what has drifted."""
    settings = settings_from(data_dir=data_dir)
    out.print(str(settings.namespace))


def migrate(data_dir: DataDir = None) -> None:
    """Bring the registry's schema to this release. Running it again changes nothing."""
    database_url = find_database(settings_from(data_dir=data_dir))
    asyncio.run(_migrate(database_url))


async def _migrate(database_url: str) -> None:
    before = await current(database_url)
    await upgrade(database_url)
    after = head()
    out.print(
        f"schema {after}: " + ("nothing to do" if before == after else f"migrated from {before or 'nothing'}")
    )
