import asyncpg
import pytest

from rag_common.errors import TransientError
from rag_common.registry import Registry


async def test_a_connection_lost_in_the_middle_of_an_operation_is_an_outage(registry: Registry) -> None:
    """Seen when PostgreSQL was killed: asyncpg raised this, and the job was dead-lettered."""
    backends = []

    async def lose() -> None:
        async with registry.database.connection() as connection:
            backends.append(connection.get_server_pid())
            raise asyncpg.InternalClientError("cannot switch to state 15")

    with pytest.raises(TransientError):
        await lose()
    async with registry.database.connection() as connection:
        assert connection.get_server_pid() not in backends
        assert await connection.fetchval("SELECT 1") == 1
