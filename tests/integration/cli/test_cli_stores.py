"""The stack's nats-server and PostgreSQL, without the services."""

import asyncio
import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import nats.errors
import nats.js.errors
import pytest
import pytest_asyncio
from nats.aio.client import Client

from rag_common.permissions import inbox_prefix
from rag_common.topology import Topology
from ragp.errors import StackError
from ragp.migrations import current, head
from ragp.stack import Stack
from ragp.stack.nats import NatsUser

pytestmark = pytest.mark.asyncio(loop_scope="module")


@contextlib.asynccontextmanager
async def stores(data_dir: Path) -> AsyncIterator[Stack]:
    async with Stack(data_dir, port=0, only=()) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """For tests that leave it as it was."""
    async with stores(tmp_path_factory.mktemp("shared")) as stack:
        yield stack


async def connect(stack: Stack, user: NatsUser, inbox: str) -> Client:
    client = Client()
    try:
        await client.connect(
            stack.nats_url,
            user=user.name,
            password=user.password,
            inbox_prefix=inbox.encode(),
            allow_reconnect=False,
            error_cb=ignore,
        )
    except nats.errors.Error:
        # The library leaves the socket of a refused connection open.
        await client.close()
        raise
    return client


async def ignore(_: Exception) -> None:
    """Refusals are what these tests provoke."""


def ragp(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ragp", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


async def test_first_start_second_start_and_a_second_supervisor(tmp_path: Path) -> None:
    async with stores(tmp_path) as stack:
        database_url, nats_url = stack.database_url, stack.nats_url
        assert await current(database_url) == head()
        connection = await asyncpg.connect(database_url)
        await connection.execute("CREATE TABLE kept (word text)")
        await connection.execute("INSERT INTO kept VALUES ('слово')")
        await connection.close()
        with pytest.raises(StackError, match="already running"):
            await Stack(tmp_path, port=0, only=()).start()
        pids = [process.pid for process in stack.processes]
    assert all(not _alive(pid) for pid in pids)
    async with stores(tmp_path) as stack:
        assert (stack.database_url, stack.nats_url) == (database_url, nats_url)
        connection = await asyncpg.connect(database_url)
        assert await connection.fetchval("SELECT word FROM kept") == "слово"
        await connection.close()


async def test_postgres_takes_only_the_platforms_own_role_with_its_password(shared: Stack) -> None:
    host = shared.database_url.rsplit("@", 1)[1]
    for url in (f"postgresql://rag:wrong@{host}", f"postgresql://postgres:wrong@{host}"):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(url)
    connection = await asyncpg.connect(shared.database_url)
    role = await connection.fetchrow("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    settings = [await connection.fetchval(f"SHOW {name}") for name in ("fsync", "listen_addresses")]
    await connection.close()
    assert role is not None
    assert not role["rolsuper"]
    assert settings == ["on", "127.0.0.1"]


async def test_each_service_may_do_its_own_work_and_no_more(shared: Stack) -> None:
    with pytest.raises(nats.errors.Error):
        await connect(shared, NatsUser("operator", "wrong"), "_INBOX")
    producer = await connect(shared, shared.nats_user("producer"), inbox_prefix("producer", "default"))
    jetstream = producer.jetstream(timeout=1)
    ack = await jetstream.publish("rag.ingest.bulk.default", b"{}")
    assert ack.stream == "RAG_INGEST"
    with pytest.raises((nats.errors.Error, TimeoutError)):
        await jetstream.publish("rag.ingest.bulk.other", b"{}")
    with pytest.raises((nats.errors.Error, TimeoutError)):
        await jetstream.delete_stream("RAG_INGEST")
    await producer.close()
    config = json.loads((shared.directory.root / "nats" / "nats.conf").read_text())
    assert stat.S_IMODE(os.stat(shared.directory.root / "nats" / "nats.conf").st_mode) == 0o600
    assert config["jetstream"]["sync_interval"] == "always"


async def test_killed_stores_come_back_with_everything_in_them(tmp_path: Path) -> None:
    async with stores(tmp_path) as stack:
        operator = await connect(stack, stack.nats_user("operator"), "_INBOX")
        await operator.jetstream().publish("rag.embed.bulk", b"{}")
        await operator.close()
        connection = await asyncpg.connect(stack.database_url)
        await connection.execute("CREATE TABLE kept AS SELECT 1")
        for name in ("nats", "postgres"):
            stack.process(name).kill()
        for name in ("nats", "postgres"):
            await stack.process(name).wait_ready(30)
        connection.terminate()
        connection = await asyncpg.connect(stack.database_url)
        assert await connection.fetchval("SELECT count(*) FROM kept") == 1
        await connection.close()
        operator = await connect(stack, stack.nats_user("operator"), "_INBOX")
        jetstream = operator.jetstream()
        assert (await jetstream.stream_info("RAG_EMBED")).state.messages == 1
        # A stream in memory is gone with the server: it has been provisioned again.
        names = [spec.name for spec in Topology().consumers]
        found = [await jetstream.consumer_info(Topology().consumer(name).stream, name) for name in names]
        assert [info.name for info in found] == names
        await operator.close()


async def test_provision_reports_drift_and_mends_it(shared: Stack) -> None:
    operator = await connect(shared, shared.nats_user("operator"), "_INBOX")
    await operator.jetstream().delete_consumer("RAG_EMBED", "embedder-bulk")
    dry = await asyncio.to_thread(ragp, "provision", "--dry-run", "--data-dir", str(shared.directory.root))
    assert (dry.returncode, dry.stdout.strip()) == (1, "consumer embedder-bulk: missing")
    with pytest.raises(nats.js.errors.NotFoundError):
        await operator.jetstream().consumer_info("RAG_EMBED", "embedder-bulk")
    done = await asyncio.to_thread(ragp, "provision", "--data-dir", str(shared.directory.root))
    assert (done.returncode, done.stdout.strip()) == (0, "consumer embedder-bulk: missing; created")
    again = await asyncio.to_thread(ragp, "provision", "--data-dir", str(shared.directory.root))
    assert (again.returncode, again.stdout.strip()) == (0, "nothing differs")
    await operator.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
