"""Pulls of several messages, of several workers, on one consumer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from rag_common.broker import flush
from rag_common.broker.client import PatientPull, ServiceClient
from rag_common.provision import provision
from rag_common.testing import NatsServer
from rag_common.topology import Topology

CONSUMER = "embedder-bulk"
WAIT = 60.0
"""Seconds; far above what a test takes, so that nothing here ends because a pull does."""


@pytest.fixture
async def service(
    nats_server: NatsServer, nats_client: Client, topology: Topology
) -> AsyncIterator[ServiceClient]:
    await provision(nats_client.jetstream(), topology)
    client = ServiceClient()
    await client.connect(nats_server.url)
    yield client
    await client.close()


async def new_pull(service: ServiceClient, topology: Topology) -> PatientPull:
    spec = topology.consumer(CONSUMER)
    pull = await service.jetstream().pull_subscribe(
        spec.filter_subject, stream=spec.stream, durable=spec.name
    )
    assert isinstance(pull, PatientPull)
    return pull


async def publish(client: Client, topology: Topology, count: int) -> None:
    subject = topology.consumer(CONSUMER).filter_subject
    for number in range(count):
        await client.jetstream().publish(subject, b"%d" % number)


async def pause(client: Client, topology: Topology, seconds: float) -> None:
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    subject = f"$JS.API.CONSUMER.PAUSE.{topology.stream('EMBED')}.{CONSUMER}"
    await client.request(subject, json.dumps({"pause_until": until}).encode(), timeout=10)


def bodies(messages: list[Msg]) -> list[bytes]:
    return [message.data for message in messages]


async def test_a_pull_takes_what_is_there(
    service: ServiceClient, nats_client: Client, topology: Topology
) -> None:
    await publish(nats_client, topology, 11)
    pull = await new_pull(service, topology)
    async with asyncio.timeout(20):
        assert bodies(await pull.fetch(8, WAIT)) == [b"%d" % number for number in range(8)]
        assert bodies(await pull.fetch(8, WAIT)) == [b"8", b"9", b"10"]


async def test_a_pull_that_was_told_to_wait_its_turn_returns_with_its_first_message(
    service: ServiceClient, nats_client: Client, topology: Topology
) -> None:
    """nats-py waits, then, until it has all it asked for, or its time is over."""
    await pause(nats_client, topology, 3600)
    await publish(nats_client, topology, 1)
    pulls = [await new_pull(service, topology) for _ in range(2)]
    async with asyncio.timeout(20):
        fetching = [asyncio.create_task(pull.fetch(8, WAIT)) for pull in pulls]
        await asyncio.sleep(0.1)
        await flush(service)
        await pause(nats_client, topology, -1)
        await publish(nats_client, topology, 1)
        assert sorted(bodies([message for fetched in fetching for message in await fetched])) == [b"0", b"0"]


async def test_what_came_after_its_pull_had_ended_is_not_left_behind(
    service: ServiceClient, nats_client: Client, topology: Topology
) -> None:
    pull = await new_pull(service, topology)
    request = json.dumps({"batch": 3, "no_wait": True}).encode()
    await publish(nats_client, topology, 2)
    await service.publish(pull._nms, request, pull._deliver)
    await flush(service)
    await publish(nats_client, topology, 1)
    async with asyncio.timeout(20):
        assert bodies(await pull.fetch(8, WAIT)) == [b"0", b"1"]
        assert bodies(await pull.fetch(8, WAIT)) == [b"0"]


async def test_a_pull_does_not_wait_for_an_end_that_unacked_messages_hold_back(
    service: ServiceClient, nats_client: Client, topology: Topology
) -> None:
    few = topology.with_consumer(CONSUMER, max_ack_pending=4)
    await provision(nats_client.jetstream(), few)
    await publish(nats_client, topology, 6)
    pull = await new_pull(service, topology)
    first = await pull.fetch(8, WAIT)
    assert bodies(first) == [b"0", b"1", b"2", b"3"]
    rest: list[Msg] = []
    async with asyncio.timeout(20):
        for message in first:
            await message.ack()
        while len(rest) < 2:
            rest += await pull.fetch(8, WAIT)
    assert bodies(rest) == [b"4", b"5"]
