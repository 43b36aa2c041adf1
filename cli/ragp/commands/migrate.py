"""``ragp migrate``: bring PostgreSQL to what this release needs."""

import asyncio

from ragp.console import out
from ragp.errors import CommandError
from ragp.language import _
from ragp.options import DataDir, settings_from
from ragp.target import find_database


def migrate(data_dir: DataDir = None) -> None:
    """Bring the registry's schema to this release. Running it again changes nothing."""
    database_url = find_database(settings_from(data_dir=data_dir))
    asyncio.run(_migrate(database_url))


async def _migrate(database_url: str) -> None:
    # Imported here: SQLAlchemy would double the start-up time of every other command.
    import asyncpg
    import sqlalchemy.exc

    from ragp.migrations import current, head, upgrade

    try:
        before = await current(database_url)
        await upgrade(database_url)
    except (OSError, asyncpg.PostgresError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise CommandError(f"PostgreSQL refused: {error}", cure="ragp logs postgres") from error
    after = head()
    if before == after:
        told = _("schema {after}: nothing to do")
    elif before is None:
        told = _("schema {after}: created")
    else:
        told = _("schema {after}: migrated from {before}")
    out.print(told.format(after=after, before=before))
