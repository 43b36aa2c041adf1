"""The object store: our bytes are everybody's bytes."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from nats.js import JetStreamContext
from nats.js.api import ObjectMeta, ObjectMetaOptions
from nats.js.errors import NotFoundError

from rag_common.errors import TransientError
from rag_common.object_format import CHUNK_BYTES
from rag_common.objects import ObjectDamaged, ObjectMissing, ObjectStore, TooLarge
from rag_common.topology import Topology

SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * 1024 * 1024 + 17]


@pytest.fixture
def bucket(provisioned: Topology) -> str:
    return provisioned.bucket("documents")


@pytest.fixture
def store(jetstream: JetStreamContext, bucket: str) -> ObjectStore:
    return ObjectStore(lambda: jetstream, bucket)


def content(size: int) -> bytes:
    return bytes(range(251)) * (size // 251) + bytes(size % 251)


async def pieces(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(store: ObjectStore, name: str) -> bytes:
    return b"".join([chunk async for chunk in store.stream(name)])


async def stored_messages(jetstream: JetStreamContext, bucket: str) -> int:
    return (await jetstream.stream_info(f"OBJ_{bucket}")).state.messages


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_put_is_read_back(size: int, store: ObjectStore, jetstream: JetStreamContext) -> None:
    data = content(size)
    stored = await store.put("an/id с кириллицей", pieces(data))
    assert (stored.size, stored.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert await store.info("an/id с кириллицей") == stored
    file = io.BytesIO()
    await store.get_to_file("an/id с кириллицей", file)
    assert file.getvalue() == data


@pytest.mark.parametrize("size", SIZES)
async def test_nats_py_reads_what_we_put(
    size: int, store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    data = content(size)
    await store.put("one", pieces(data))
    theirs = await jetstream.object_store(bucket)
    result = await theirs.get("one")
    assert result.data == data
    assert (result.info.size, result.info.chunks) == (size, -(-size // CHUNK_BYTES))


@pytest.mark.parametrize("size", SIZES)
async def test_we_read_what_nats_py_puts(
    size: int, store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    data = content(size)
    theirs = await jetstream.object_store(bucket)
    await theirs.put("one", data)
    assert await read(store, "one") == data


async def test_large_chunks_of_another_client_are_read(
    store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    data = content(9 * 1024 * 1024)
    theirs = await jetstream.object_store(bucket)
    options = ObjectMetaOptions(max_chunk_size=3 * 1024 * 1024)
    await theirs.put("one", data, meta=ObjectMeta(name="one", options=options))
    assert await read(store, "one") == data


async def test_a_second_put_replaces_and_leaves_no_chunks(
    store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    await store.put("one", pieces(content(3 * CHUNK_BYTES)))
    await store.put("one", pieces(b"new"))
    assert await read(store, "one") == b"new"
    assert await stored_messages(jetstream, bucket) == 2


async def test_above_the_limit_nothing_is_kept(
    store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    await store.put("exact", pieces(content(CHUNK_BYTES)), limit=CHUNK_BYTES)
    before = await stored_messages(jetstream, bucket)
    with pytest.raises(TooLarge):
        await store.put("big", pieces(content(20 * CHUNK_BYTES)), limit=15 * CHUNK_BYTES)
    assert await stored_messages(jetstream, bucket) == before
    with pytest.raises(ObjectMissing):
        await store.info("big")


async def test_a_source_that_fails_leaves_nothing_and_its_error_is_raised(
    store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    async def hangs_up() -> AsyncIterator[bytes]:
        yield content(4 * CHUNK_BYTES)
        raise ConnectionResetError("the client hung up")

    with pytest.raises(ConnectionResetError):
        await store.put("one", hangs_up())
    assert await stored_messages(jetstream, bucket) == 0


async def test_a_cancelled_put_leaves_nothing(
    store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    waiting = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield content(4 * CHUNK_BYTES)
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.put("one", stalls()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stored_messages(jetstream, bucket) == 0


async def test_a_put_takes_no_more_than_a_window_ahead(store: ObjectStore) -> None:
    """The source is read as fast as chunks are acknowledged, so a large upload is never in memory."""
    taken: list[int] = []

    async def source() -> AsyncIterator[bytes]:
        for number in range(64):
            taken.append(number)
            yield content(CHUNK_BYTES)

    class Stalled:
        """A JetStream that acknowledges nothing until a publish gives up."""

        _nc = store._jetstream()._nc

        async def get_last_msg(self, *_: object) -> None:
            raise NotFoundError

        async def publish(self, *_: object, **__: object) -> None:
            await asyncio.sleep(0.6)
            raise TimeoutError

        async def purge_stream(self, *_: object, **__: object) -> None:
            return None

    stalled = ObjectStore(Stalled, "bucket")  # type: ignore[arg-type]  # only what put() calls
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stalled.put("one", source()), 0.2)
    assert len(taken) <= 10


async def test_a_missing_object(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        await read(store, "nothing")
    with pytest.raises(ObjectMissing):
        await store.get_to_file("nothing", io.BytesIO())


async def test_delete_is_idempotent_and_removes_everything(
    store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    await store.put("one", pieces(content(3 * CHUNK_BYTES)))
    await store.delete("one")
    await store.delete("one")
    assert await stored_messages(jetstream, bucket) == 0
    with pytest.raises(ObjectMissing):
        await read(store, "one")


async def test_an_object_that_another_client_deleted_is_missing(
    store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    theirs = await jetstream.object_store(bucket)
    await theirs.put("one", b"bytes")
    await theirs.delete("one")
    with pytest.raises(ObjectMissing):
        await read(store, "one")
    assert [name async for name in store.names()] == []


async def test_chunks_that_nobody_will_name_are_removed(
    store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    await store.put("kept", pieces(content(2 * CHUNK_BYTES)))
    for _ in range(3):
        await jetstream.publish(f"$O.{bucket}.C.killed", content(CHUNK_BYTES))
    assert await store.remove_abandoned() == 0
    assert await stored_messages(jetstream, bucket) == 6
    assert await store.remove_abandoned(timedelta(0)) == 1
    assert await stored_messages(jetstream, bucket) == 3
    assert await read(store, "kept") == content(2 * CHUNK_BYTES)


async def test_names_of_many_objects(store: ObjectStore) -> None:
    expected = {f"object-{number}" for number in range(300)}
    for name in expected:
        await store.put(name, pieces(b"x"))
    assert {name async for name in store.names()} == expected


async def test_changed_bytes_are_noticed(
    store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    await store.put("one", pieces(content(2 * CHUNK_BYTES)))
    chunk = await jetstream.get_msg(f"OBJ_{bucket}", 2)
    await jetstream.delete_msg(f"OBJ_{bucket}", 2)
    assert chunk.subject is not None
    await jetstream.publish(chunk.subject, b"other bytes")
    with pytest.raises(ObjectDamaged):
        await read(store, "one")


async def test_a_chunk_that_cannot_be_read_yet_is_a_transient_error(
    store: ObjectStore, jetstream: JetStreamContext, bucket: str
) -> None:
    await store.put("one", pieces(content(2 * CHUNK_BYTES)))
    await jetstream.delete_msg(f"OBJ_{bucket}", 2)
    with pytest.raises(TransientError, match="1 of 2 chunks"):
        await read(store, "one")


async def test_without_a_bucket_the_cure_is_named(topology: Topology, jetstream: JetStreamContext) -> None:
    store = ObjectStore(lambda: jetstream, topology.bucket("documents"))
    with pytest.raises(TransientError, match="ragp provision"):
        await store.put("one", pieces(b"x"))
    with pytest.raises(TransientError, match="ragp provision"):
        await store.info("one")
