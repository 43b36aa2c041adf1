import asyncpg
import pytest

from rag_common.errors import TransientError
from rag_common.registry import Registry


async def test_a_connection_lost_in_the_middle_of_an_operation_is_an_outage(registry: Registry) -> None:
    """Seen when PostgreSQL was killed: asyncpg raised this, and the job was dead-lettered."""
    backend = None
    with pytest.raises(TransientError):
        async with registry.database.connection() as connection:
            backend = connection.get_server_pid()
            raise asyncpg.InternalClientError("cannot switch to state 15")
    async with registry.database.connection() as connection:
        assert connection.get_server_pid() != backend
        assert await connection.fetchval("SELECT 1") == 1
