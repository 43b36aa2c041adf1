"""Whatever changes what a search may find is seen by whoever looks since an earlier position."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest
from registry_support import TENANT, accept, complete, drop, embed, make_live

from rag_common.contracts import DocumentRef
from rag_common.embedded import postgres_bin_dir
from rag_common.errors import TransientError
from rag_common.registry import Order, Position, Registry
from rag_common.testing import PostgresServer

HANDBOOK = ("handbook",)


async def position(registry: Registry, *collections: str) -> Position:
    return (await registry.changes.look(TENANT, collections)).position


async def changed(registry: Registry, since: Position, *collections: str) -> bool:
    return (await registry.changes.look(TENANT, collections, since)).changed


async def test_while_nothing_changes_a_position_stands(registry: Registry) -> None:
    await make_live(registry, "a")
    since = await position(registry, "handbook")
    assert not await changed(registry, since, "handbook")
    assert not await changed(registry, since)
    # reading and what belongs to another tenant are no changes
    await registry.collections.get(TENANT, "handbook")
    await registry.collections.create("other", "handbook")
    assert not await changed(registry, since, "handbook")
    assert (await registry.changes.look(TENANT, HANDBOOK)).changed


async def test_a_change_counts_in_its_own_collection_only(registry: Registry) -> None:
    await registry.collections.create(TENANT, "rules")
    since = await position(registry)
    await make_live(registry, "a", collection="rules")
    assert not await changed(registry, since, "handbook")
    assert await changed(registry, since, "rules")
    assert await changed(registry, since, "handbook", "rules")
    assert await changed(registry, since)


async def upload_new(registry: Registry, _: DocumentRef) -> None:
    await accept(registry, "new")


async def upload_again(registry: Registry, _: DocumentRef) -> None:
    await accept(registry, "a", "two")


async def upload_with_acl(registry: Registry, _: DocumentRef) -> None:
    await accept(registry, "a", acl=("user:ann",))


async def drop_again(registry: Registry, _: DocumentRef) -> None:
    await drop(registry, "a", "two", Order(2**62, 1))


async def change_acl(registry: Registry, document: DocumentRef) -> None:
    await registry.documents.patch(TENANT, document.document_id, acl=("user:ann",))


async def change_metadata(registry: Registry, document: DocumentRef) -> None:
    await registry.documents.patch(TENANT, document.document_id, metadata={"lang": "ru"})


async def delete(registry: Registry, document: DocumentRef) -> None:
    await registry.documents.delete(TENANT, document.document_id)


async def delete_collection(registry: Registry, _: DocumentRef) -> None:
    await registry.collections.delete(TENANT, "handbook")


async def change_collection(registry: Registry, _: DocumentRef) -> None:
    await registry.collections.change(TENANT, "handbook", description="Rules of the house.")


async def switch_space(registry: Registry, _: DocumentRef) -> None:
    await registry.spaces.activate("multilingual-e5-small", even_incomplete=True)


async def index_applies_acl(registry: Registry, document: DocumentRef) -> None:
    await registry.indexing.updated(TENANT, document.document_id, 1)


CHANGES = [
    upload_new,
    upload_again,
    upload_with_acl,
    drop_again,
    change_acl,
    change_metadata,
    delete,
    delete_collection,
    change_collection,
    switch_space,
    index_applies_acl,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_a_change_is_seen(
    registry: Registry, change: Callable[[Registry, DocumentRef], Awaitable[None]]
) -> None:
    document = await make_live(registry, "a")
    since = await position(registry, "handbook")
    await change(registry, document)
    assert await changed(registry, since, "handbook")
    assert await changed(registry, since)
    # and it stays seen: a tombstone is a change, too
    assert await changed(registry, since, "handbook")


async def test_going_live_and_a_purge_are_seen(registry: Registry) -> None:
    document = (await accept(registry, "a")).document
    await embed(registry, document, chunks=2)
    since = await position(registry, "handbook")
    assert (await complete(registry, document, 0)).outcome == "live"
    assert await changed(registry, since, "handbook")


async def test_an_upload_that_was_taken_back_is_seen(registry: Registry) -> None:
    """An answer of the time in between may rest on the access that the upload has brought."""
    await make_live(registry, "a", acl=("user:ann",))
    taken = await accept(registry, "a", "two", acl=("*",))
    between = await position(registry, "handbook")
    await registry.accepting.reject(TENANT, [taken.document])
    assert await changed(registry, between, "handbook")


async def test_a_collection_of_the_same_name_is_another_one(registry: Registry) -> None:
    await registry.collections.delete(TENANT, "handbook")
    since = await position(registry, "handbook")
    await registry.collections.create(TENANT, "handbook")
    assert await changed(registry, since, "handbook")
    assert await changed(registry, since)


@asynccontextmanager
async def open_transaction(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
        await transaction.commit()
    finally:
        await connection.close()


async def test_a_change_begun_before_and_committed_after_is_seen(
    registry: Registry, database_url: str
) -> None:
    """Its number is older than the position's moment, and it was invisible then."""
    document = await make_live(registry, "a")
    async with open_transaction(database_url) as early:
        await early.execute("UPDATE documents SET acl = '{user:ann}' WHERE id = $1", document.document_id)
        # meanwhile others come and go, so that the newest number is far beyond
        for name in ("b", "c"):
            await registry.collections.create(TENANT, name)
        since = await position(registry, "handbook")
        assert not await changed(registry, since, "handbook")
    assert await changed(registry, since, "handbook")


async def test_a_change_of_a_transaction_that_had_only_read_is_seen(
    registry: Registry, database_url: str
) -> None:
    document = await make_live(registry, "a")
    async with open_transaction(database_url) as early:
        await early.fetch("SELECT * FROM documents")
        since = await position(registry, "handbook")
        async with early.transaction():
            await early.execute("UPDATE documents SET title = 'x' WHERE id = $1", document.document_id)
    assert await changed(registry, since, "handbook")


async def test_of_two_overlapping_transactions_both_are_seen(registry: Registry, database_url: str) -> None:
    """The one that has begun last commits first."""
    first, second = await make_live(registry, "a"), await make_live(registry, "b")
    async with open_transaction(database_url) as late:
        await late.execute("UPDATE documents SET title = 'x' WHERE id = $1", first.document_id)
        async with open_transaction(database_url) as early:
            await early.execute("UPDATE documents SET title = 'x' WHERE id = $1", second.document_id)
            before = await position(registry, "handbook")
        assert await changed(registry, before, "handbook")
        between = await position(registry, "handbook")
    assert await changed(registry, between, "handbook")
    after = await position(registry, "handbook")
    assert not await changed(registry, after, "handbook")


async def test_an_older_transaction_that_is_open_only_costs_a_miss(
    registry: Registry, database_url: str
) -> None:
    async with open_transaction(database_url) as open_one:
        await open_one.execute("UPDATE installation SET pipeline_fingerprint = 'x'")
        await make_live(registry, "a")
        since = await position(registry, "handbook")
        # it cannot be told from one that was committed later
        assert await changed(registry, since, "handbook")
    assert not await changed(registry, await position(registry, "handbook"), "handbook")


async def test_a_position_of_another_run_of_the_server_does_not_stand(registry: Registry) -> None:
    since = await position(registry, "handbook")
    for other in (
        replace(since, database=since.database + "x"),
        replace(since, xmin=since.xmin + 1000),
        replace(since, active_space="other"),
    ):
        assert await changed(registry, other, "handbook")


async def test_a_restart_of_the_server_begins_anew() -> None:
    """A backup of the server's files is restored while it stands still, and its numbers come again."""
    from ragp.migrations import upgrade

    with PostgresServer() as server:
        url = await server.create_database()
        await upgrade(url)
        registry = await Registry.connect(url)
        await registry.collections.create(TENANT, "handbook")
        since = await position(registry)
        assert not await changed(registry, since)
        async with registry.database.connection() as connection:
            # this server is not durable otherwise
            await connection.execute("CHECKPOINT")
        await registry.close()
        server.kill()
        server.start()
        registry = await Registry.connect(url)
        assert await changed(registry, since)
        await registry.close()


async def test_a_restored_dump_begins_anew_and_works(
    registry: Registry, postgres_server: PostgresServer, database_url: str
) -> None:
    """Its rows keep numbers that this server may not have reached: they are older than they say."""
    document = await make_live(registry, "a")
    async with registry.database.connection() as connection:
        await connection.execute(
            """
            ALTER TABLE documents DISABLE TRIGGER documents_changed;
            UPDATE documents SET changed = 1000000000000;
            ALTER TABLE documents ENABLE TRIGGER documents_changed;
            """
        )
    old = await position(registry, "handbook")
    restored_url = await postgres_server.create_database()
    await asyncio.to_thread(copy_database, database_url, restored_url)
    restored = await Registry.connect(restored_url)
    try:
        assert await changed(restored, old, "handbook")
        since = await position(restored, "handbook")
        assert not await changed(restored, since, "handbook")
        await restored.documents.delete(TENANT, document.document_id)
        assert await changed(restored, since, "handbook")
    finally:
        await restored.close()


def copy_database(source: str, target: str) -> None:
    programs = postgres_bin_dir()
    dump = subprocess.run([str(programs / "pg_dump"), source], check=True, capture_output=True, timeout=60)
    quiet = {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}
    psql = [str(programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", target]
    subprocess.run(psql, input=dump.stdout, check=True, capture_output=True, timeout=60, env=quiet)


async def test_while_changes_are_not_noted_nothing_stands(registry: Registry) -> None:
    since = await position(registry)
    async with registry.database.connection() as connection:
        await connection.execute("ALTER TABLE documents DISABLE TRIGGER documents_changed")
    with pytest.raises(TransientError):
        await registry.changes.look(TENANT, (), since)
