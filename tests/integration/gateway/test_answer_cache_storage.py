"""The bucket of answers on a real NATS, and what the generator says of itself."""

import asyncio
from collections.abc import Callable

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from rag_common.broker import flush
from rag_common.contracts import DescribeGenerator, GeneratorDescription
from rag_common.errors import TransientError
from rag_common.provision import TopologyMismatch, provision
from rag_common.topology import Topology
from rag_gateway.adapters.answer_cache import NatsAnswers
from rag_gateway.adapters.generator_info import REMEMBERED_SECONDS, GeneratorInfo

KEY = "0" * 64


def answers(jetstream: JetStreamContext, topology: Topology, seconds: int = 60) -> NatsAnswers:
    return NatsAnswers(lambda: jetstream, topology, seconds=seconds)


async def test_an_entry_is_read_by_every_gateway(provisioned: Topology, jetstream: JetStreamContext) -> None:
    storage = answers(jetstream, provisioned)
    assert await storage.get(KEY) is None
    await storage.put(KEY, b"old")
    await storage.put(KEY, "Отпуск".encode())
    assert await answers(jetstream, provisioned).get(KEY) == "Отпуск".encode()
    state = (await jetstream.stream_info(provisioned.key_value("answers").stream)).state
    assert state.messages == 1


async def test_it_is_forgotten_in_time(provisioned: Topology, jetstream: JetStreamContext) -> None:
    storage = answers(jetstream, provisioned, seconds=1)
    await storage.put(KEY, b"entry")
    assert await storage.get(KEY) == b"entry"
    async with asyncio.timeout(20):
        while await storage.get(KEY) is not None:  # noqa: ASYNC110 - the server does not tell
            await asyncio.sleep(0.05)


async def test_the_longest_entry_has_room(provisioned: Topology, jetstream: JetStreamContext) -> None:
    storage = answers(jetstream, provisioned)
    await storage.put(KEY, b"x" * storage.max_bytes)
    assert len(await storage.get(KEY) or b"") == storage.max_bytes
    with pytest.raises(TransientError):
        await storage.put(KEY, b"x" * (storage.max_bytes + 2048))


async def test_the_oldest_make_room(topology: Topology, jetstream: JetStreamContext) -> None:
    await provision(jetstream, topology)
    stream = topology.key_value("answers").stream
    config = (await jetstream.stream_info(stream)).config
    storage = answers(jetstream, topology)
    await storage.get(KEY)
    await jetstream.update_stream(config.evolve(max_bytes=100_000))
    for number in range(4):
        await storage.put(f"{number:064}", b"x" * 40_000)
    found = [await storage.get(f"{number:064}") is not None for number in range(4)]
    assert found == [False, False, True, True]


async def test_a_bucket_that_is_missing_or_differs_is_named_with_the_cure(
    provisioned: Topology, jetstream: JetStreamContext
) -> None:
    storage = answers(jetstream, provisioned)
    stream = provisioned.key_value("answers").stream
    await jetstream.delete_stream(stream)
    with pytest.raises(TopologyMismatch, match=rf"{stream}: missing.*ragp provision"):
        await storage.get(KEY)
    await jetstream.create_key_value(bucket=provisioned.bucket("answers"))
    with pytest.raises(TopologyMismatch, match="storage is 'file' and should be 'memory'"):
        await storage.put(KEY, b"entry")
    await jetstream.delete_stream(stream)
    await provision(jetstream, provisioned)
    await storage.put(KEY, b"entry")


async def test_a_bucket_that_goes_is_noticed(provisioned: Topology, jetstream: JetStreamContext) -> None:
    storage = answers(jetstream, provisioned)
    await storage.put(KEY, b"entry")
    await jetstream.delete_stream(provisioned.key_value("answers").stream)
    with pytest.raises(TransientError):
        await storage.get(KEY)
    with pytest.raises(TopologyMismatch):
        await storage.get(KEY)


class Requests:
    """What a broker does past its middlewares."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ask(self, subject: str, body: bytes, seconds: float) -> bytes:
        return (await self._client.request(subject, body, timeout=seconds)).data


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def listen(client: Client, topology: Topology, reply: Callable[[], bytes]) -> None:
    async def describe(message: Msg) -> None:
        await message.respond(reply())

    await client.subscribe(topology.subject(DescribeGenerator), cb=describe)
    await flush(client)


async def test_the_generator_is_asked_once_in_a_while(topology: Topology, nats_client: Client) -> None:
    descriptions = [GeneratorDescription(adapter="ollama", prompt_version=str(no)) for no in range(3)]
    replies = iter(description.encode() for description in descriptions)
    await listen(nats_client, topology, lambda: next(replies))
    clock = Clock()
    info = GeneratorInfo(Requests(nats_client), topology, clock)
    assert [*await asyncio.gather(info(), info(), info())] == [descriptions[0]] * 3
    clock.now += REMEMBERED_SECONDS
    assert await info() == descriptions[1]


async def test_where_nobody_answers_nothing_is_known(topology: Topology, nats_client: Client) -> None:
    clock = Clock()
    info = GeneratorInfo(Requests(nats_client), topology, clock)
    assert await info() is None
    await listen(nats_client, topology, lambda: b"not a description")
    clock.now += REMEMBERED_SECONDS
    assert await info() is None


async def test_a_generator_that_does_not_answer_is_not_asked_again_at_once(
    topology: Topology, nats_client: Client
) -> None:
    asked = []

    class Silent:
        async def ask(self, subject: str, body: bytes, seconds: float) -> bytes:
            asked.append(subject)
            raise nats.errors.TimeoutError

    info = GeneratorInfo(Silent(), topology, Clock())
    assert [await info(), await info()] == [None, None]
    assert asked == [topology.subject(DescribeGenerator)]
