"""Queries that nobody waits for: begun, waiting, and unknown."""

import asyncio

import pytest
from common_support import MakeBroker, eventually
from nats.aio.client import Client

from rag_common.broker import Cancellations, cancellation, flush
from rag_common.contracts import CancelQuery
from rag_common.topology import Topology


@pytest.fixture
async def cancellations(make_broker: MakeBroker, nats_client: Client, topology: Topology) -> Cancellations:
    return await listening(make_broker, topology)


async def listening(make_broker: MakeBroker, topology: Topology) -> Cancellations:
    broker = make_broker()
    cancellations = Cancellations(broker, topology)
    await broker.start()
    assert broker._connection is not None
    await flush(broker._connection)
    return cancellations


async def cancel(client: Client, topology: Topology, query_id: str) -> None:
    body = CancelQuery(query_id=query_id).encode()
    await client.publish(topology.subject(CancelQuery, query=query_id), body)


async def heard(cancellations: Cancellations, client: Client, topology: Topology, query_id: str) -> None:
    """Cancel a query and wait until that is known."""
    await cancel(client, topology, query_id)

    async def known() -> bool:
        return query_id in cancellations._cancelled

    await eventually(known)


class Work:
    """Goes on until it is ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = False

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.ended = True


async def test_work_that_nobody_cancels_comes_to_its_end(cancellations: Cancellations) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    assert await cancellations.run("q1", work())
    assert done.is_set()


async def test_an_exception_of_the_work_is_raised(cancellations: Cancellations) -> None:
    async def work() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await cancellations.run("q1", work())


async def test_a_query_in_work_is_ended(
    cancellations: Cancellations, nats_client: Client, topology: Topology
) -> None:
    work = Work()
    running = asyncio.create_task(cancellations.run("q1", work()))
    await work.begun.wait()

    await cancel(nats_client, topology, "q1")

    assert not await asyncio.wait_for(running, 10)
    assert work.ended


async def test_another_query_goes_on(
    cancellations: Cancellations, nats_client: Client, topology: Topology
) -> None:
    work = Work()
    running = asyncio.create_task(cancellations.run("q1", work()))
    await work.begun.wait()

    await heard(cancellations, nats_client, topology, "q2")

    assert not running.done()
    await cancel(nats_client, topology, "q1")
    assert not await asyncio.wait_for(running, 10)


async def test_a_query_that_was_cancelled_before_is_not_begun(
    cancellations: Cancellations, nats_client: Client, topology: Topology
) -> None:
    await heard(cancellations, nats_client, topology, "q1")
    work = Work()

    assert not await cancellations.run("q1", work())
    assert not work.begun.is_set()


async def test_every_replica_hears_it(
    make_broker: MakeBroker, nats_client: Client, topology: Topology
) -> None:
    replicas = [await listening(make_broker, topology) for _ in range(2)]
    works = [Work(), Work()]
    running = [
        asyncio.create_task(replica.run("q1", work())) for replica, work in zip(replicas, works, strict=True)
    ]
    for work in works:
        await work.begun.wait()

    await cancel(nats_client, topology, "q1")

    assert await asyncio.wait_for(asyncio.gather(*running), 10) == [False, False]


async def test_a_stopping_service_cancels_the_work_and_hears_of_it(cancellations: Cancellations) -> None:
    work = Work()
    running = asyncio.create_task(cancellations.run("q1", work()))
    await work.begun.wait()

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert work.ended


async def test_work_that_cancels_itself_does_not_count_as_cancelled(cancellations: Cancellations) -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await cancellations.run("q1", work())


async def test_what_does_not_decode_is_ignored(
    cancellations: Cancellations, nats_client: Client, topology: Topology
) -> None:
    for body in (b"", b"{", b'{"query_id": 1}', b"\xff"):
        await nats_client.publish(topology.subject(CancelQuery, query="q1"), body)

    await heard(cancellations, nats_client, topology, "q2")
    assert await cancellations.run("q1", asyncio.sleep(0))


async def test_only_so_many_are_remembered(
    cancellations: Cancellations, nats_client: Client, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "REMEMBERED_QUERIES", 3)
    for number in range(5):
        await cancel(nats_client, topology, f"q{number}")
    await heard(cancellations, nats_client, topology, "last")

    outcomes = [await cancellations.run(f"q{number}", asyncio.sleep(0)) for number in range(5)]

    assert outcomes == [True, True, True, False, False]


async def test_they_are_forgotten_after_a_time(
    cancellations: Cancellations, nats_client: Client, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    await heard(cancellations, nats_client, topology, "q1")
    monkeypatch.setattr(cancellation, "REMEMBERED_SECONDS", 0.0)

    assert await cancellations.run("q1", asyncio.sleep(0))
