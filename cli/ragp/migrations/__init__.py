"""Schema migrations of the registry. They run only from here (``ragp migrate``), never in a service."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

# any constant will do: two operators who migrate at once take turns
_ADVISORY_LOCK = 7_262_001


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _sqlalchemy_url(database_url: str) -> str:
    scheme, _, rest = database_url.partition("://")
    if scheme not in ("postgresql", "postgres"):
        raise ValueError(f"the database URL must begin with postgresql://, not {scheme}://")
    return f"postgresql+asyncpg://{rest}"


def head() -> str:
    """The newest revision that this release knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None  # noqa: S101 - the package holds at least one migration
    return revision


async def upgrade(database_url: str) -> None:
    """Bring the database to :func:`head`. Running it again changes nothing."""

    def run(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        connection.commit()
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    engine = create_async_engine(_sqlalchemy_url(database_url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


async def current(database_url: str) -> str | None:
    """The revision of the database, ``None`` before the first migration."""
    engine = create_async_engine(_sqlalchemy_url(database_url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(
                lambda sync: MigrationContext.configure(sync).get_current_revision()
            )
    finally:
        await engine.dispose()
