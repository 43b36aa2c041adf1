"""The connection pool, and the one place where PostgreSQL's errors get our names."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from rag_common.errors import TransientError

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
    Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_DOWN = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # what asyncpg says of a connection that was lost in the middle of an operation
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
"""A later try may succeed: lost connections, shutdown and recovery, too many clients, deadlocks."""

CONNECT_TIMEOUT = 5.0
STATEMENT_TIMEOUT = 30.0


async def _set_up(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _DOWN as error:
        raise TransientError(
            f"the document registry is unavailable ({type(error).__name__})", code="registry_unavailable"
        ) from error


async def _keep(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """No statement here leaves anything behind in the session, so a round trip to reset it is saved."""


class Database:
    """A pool of connections. Every wait has a deadline; what is down raises :class:`TransientError`."""

    def __init__(self, pool: "Pool", url: str) -> None:
        self._pool = pool
        self._url = url

    @classmethod
    async def connect(cls, url: str, pool_size: int = 8) -> "Database":
        """:raises TransientError: the database does not answer."""
        with _translated():
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=pool_size,
                timeout=CONNECT_TIMEOUT,
                command_timeout=STATEMENT_TIMEOUT,
                init=_set_up,
                reset=_keep,
            )
        return cls(pool, url)

    async def close(self) -> None:
        """Close the connections; those in use get five seconds, then they are cut."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout=5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Connection"]:
        """A connection in autocommit mode."""
        with _translated():
            async with self._pool.acquire(timeout=CONNECT_TIMEOUT) as connection:
                try:
                    yield connection
                except asyncpg.InternalClientError:
                    # nothing resets it, so the pool would hand it out again
                    connection.terminate()
                    raise

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """A session outside the pool, for what lives as long as a session: it ends with the context."""
        with _translated():
            connection = await asyncpg.connect(
                self._url, timeout=CONNECT_TIMEOUT, command_timeout=STATEMENT_TIMEOUT
            )
        try:
            with _translated():
                yield connection
        finally:
            try:
                await connection.close(timeout=CONNECT_TIMEOUT)
            except _DOWN:
                # a lost server has ended the session itself
                connection.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Connection"]:
        """A connection inside a transaction: committed at the end, rolled back by an exception."""
        async with self.connection() as connection, connection.transaction():
            yield connection
