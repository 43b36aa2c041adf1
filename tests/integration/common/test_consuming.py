"""The three ends of a job, on a real server: ack, dead letter, hold."""

import asyncio
import base64
import sys
from pathlib import Path

import pytest
from common_support import (
    DOCUMENT,
    MakeBroker,
    count,
    dead_letters,
    drained,
    embed_chunks,
    eventually,
    ingest_document,
)
from nats.js import JetStreamContext

from rag_common.broker import Job, consume
from rag_common.contracts import (
    DeadLetter,
    EmbedChunks,
    IndexChunks,
    IngestDocument,
    Message,
    PurgeDocument,
    RetrievePassages,
    UpdateIndexedDocument,
)
from rag_common.errors import PermanentError, TransientError
from rag_common.provision import provision
from rag_common.testing import NatsServer
from rag_common.topology import Topology

CONSUMERS: dict[str, type[Message]] = {
    "ingest-interactive": IngestDocument,
    "ingest-bulk": IngestDocument,
    "embedder-interactive": EmbedChunks,
    "embedder-bulk": EmbedChunks,
    "retriever-upsert": IndexChunks,
    "retriever-update": UpdateIndexedDocument,
    "retriever-delete": PurgeDocument,
    "retriever-query": RetrievePassages,
    "generator": RetrievePassages,
}
NOT_MESSAGES = {
    "malformed JSON": b'{"document":',
    "another shape": b'{"hello": "world"}',
    "not an object": b"[]",
    "invalid UTF-8": b"\xff\xfe\x00\x81",
    "nothing": b"",
    "deep nesting": b"[" * 100_000,
}


async def never(message: Message, job: Job) -> None:
    raise AssertionError(f"the handler must not be called: {message!r}, {job!r}")


async def test_a_handler_that_returns_acks(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    jobs: list[tuple[EmbedChunks, Job]] = []

    async def handler(message: EmbedChunks, job: Job) -> None:
        jobs.append((message, job))

    broker = make_broker()
    consume(broker, provisioned, "embedder-bulk", EmbedChunks, handler)
    await broker.start()
    ack = await jetstream.publish(provisioned.subject(EmbedChunks, lane="bulk"), embed_chunks().encode())
    await drained(jetstream, provisioned.stream("EMBED"))

    [(message, job)] = jobs
    assert message == embed_chunks()
    assert (job.sequence, job.attempt, job.tries, job.lane) == (ack.seq, 1, 1, "bulk")
    assert job.document == DOCUMENT
    stored = await jetstream.stream_info(provisioned.stream("DLQ"))
    assert stored.state.messages == 0


async def test_lane_and_tenant_are_those_of_the_subject(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    jobs: list[Job] = []

    async def handler(_: IngestDocument, job: Job) -> None:
        jobs.append(job)

    broker = make_broker()
    consume(broker, provisioned, "ingest-bulk", IngestDocument, handler)
    await broker.start()
    subject = provisioned.subject(IngestDocument, lane="bulk", tenant="acme")
    await jetstream.publish(subject, ingest_document().encode())
    await drained(jetstream, provisioned.stream("INGEST"))
    assert [(job.lane, job.tenant) for job in jobs] == [("bulk", "acme")]


@pytest.mark.parametrize("body", NOT_MESSAGES.values(), ids=NOT_MESSAGES.keys())
@pytest.mark.parametrize("consumer", CONSUMERS)
async def test_what_does_not_decode_is_dead_lettered_and_the_lane_goes_on(
    consumer: str,
    body: bytes,
    provisioned: Topology,
    jetstream: JetStreamContext,
    make_broker: MakeBroker,
) -> None:
    spec = provisioned.consumer(consumer)
    broker = make_broker()
    consume(broker, provisioned, consumer, CONSUMERS[consumer], never)
    await broker.start()
    await jetstream.publish(spec.filter_subject.replace("*", "acme"), body)
    await drained(jetstream, spec.stream)

    subject = provisioned.subject(DeadLetter, stage=spec.stage)
    [letter] = await dead_letters(jetstream, provisioned.stream("DLQ"), subject)
    assert letter.code == "bad_message"
    assert letter.stage == spec.stage
    assert base64.b64decode(letter.body) == body
    assert (letter.original_stream, letter.original_sequence, letter.attempts) == (spec.stream, 1, 1)


async def test_a_permanent_error_is_dead_lettered_at_once(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    async def handler(_: EmbedChunks, __: Job) -> None:
        raise PermanentError("no text found", code="no_text")

    broker = make_broker()
    consume(broker, provisioned, "embedder-bulk", EmbedChunks, handler)
    await broker.start()
    subject = provisioned.subject(EmbedChunks, lane="bulk")
    await jetstream.publish(subject, embed_chunks().encode(), headers={"Nats-Msg-Id": "one"})
    await drained(jetstream, provisioned.stream("EMBED"))

    stored = provisioned.subject(DeadLetter, stage="embed")
    [letter] = await dead_letters(jetstream, provisioned.stream("DLQ"), stored)
    assert (letter.code, letter.reason, letter.stack) == ("no_text", "no text found", "")
    assert letter.document == DOCUMENT
    assert letter.original_subject == subject
    assert letter.headers["Nats-Msg-Id"] == "one"
    assert EmbedChunks.decode(base64.b64decode(letter.body)) == embed_chunks()


async def test_an_unexpected_exception_is_dead_lettered_with_its_stack(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    async def handler(_: EmbedChunks, __: Job) -> None:
        raise ZeroDivisionError("a bug with a lone surrogate \ud800 and a NUL \x00")

    broker = make_broker()
    consume(broker, provisioned, "embedder-bulk", EmbedChunks, handler)
    await broker.start()
    await jetstream.publish(provisioned.subject(EmbedChunks, lane="bulk"), embed_chunks().encode())
    await drained(jetstream, provisioned.stream("EMBED"))

    subject = provisioned.subject(DeadLetter, stage="embed")
    [letter] = await dead_letters(jetstream, provisioned.stream("DLQ"), subject)
    assert letter.code == "internal_error"
    assert letter.reason.startswith("ZeroDivisionError: a bug")
    assert "\x00" not in letter.reason
    assert "in handler" in letter.stack


async def test_an_outage_holds_the_job_and_burns_no_attempts(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    topology = provisioned.with_consumer("embedder-bulk", ack_wait=0.3, max_attempts=1)
    await provision(jetstream, topology)
    # The pauses are longer than ack_wait: only heartbeats keep the message.
    tries: list[tuple[int, int]] = []

    async def handler(_: EmbedChunks, job: Job) -> None:
        tries.append((job.attempt, job.tries))
        if len(tries) < 4:
            raise TransientError("the database is down", retry_after=0.3)

    broker = make_broker()
    consume(broker, topology, "embedder-bulk", EmbedChunks, handler)
    await broker.start()
    await jetstream.publish(topology.subject(EmbedChunks, lane="bulk"), embed_chunks().encode())
    await drained(jetstream, topology.stream("EMBED"))
    assert tries == [(1, 1), (1, 2), (1, 3), (1, 4)]
    assert await count(jetstream, topology.stream("DLQ")) == 0


async def test_a_long_job_is_not_delivered_twice(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    topology = provisioned.with_consumer("embedder-bulk", ack_wait=0.3)
    await provision(jetstream, topology)
    attempts: list[int] = []

    async def handler(_: EmbedChunks, job: Job) -> None:
        attempts.append(job.attempt)
        await asyncio.sleep(1.2)

    broker = make_broker()
    consume(broker, topology, "embedder-bulk", EmbedChunks, handler, max_workers=2)
    await broker.start()
    await jetstream.publish(topology.subject(EmbedChunks, lane="bulk"), embed_chunks().encode())
    await drained(jetstream, topology.stream("EMBED"))
    assert attempts == [1]


async def test_a_job_that_was_not_acked_comes_back_until_the_limit(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    topology = provisioned.with_consumer("embedder-bulk", ack_wait=0.2, max_attempts=3)
    await provision(jetstream, topology)
    await jetstream.publish(topology.subject(EmbedChunks, lane="bulk"), embed_chunks().encode())
    # A pull whose messages are never answered: so it looks when a worker dies over its job.
    pull = await jetstream.pull_subscribe_bind("embedder-bulk", topology.stream("EMBED"))
    attempts = [(await pull.fetch(1, timeout=5))[0].metadata.num_delivered for _ in range(3)]
    assert attempts == [1, 2, 3]

    broker = make_broker()
    consume(broker, topology, "embedder-bulk", EmbedChunks, never)
    await broker.start()
    await drained(jetstream, topology.stream("EMBED"))
    subject = topology.subject(DeadLetter, stage="embed")
    [letter] = await dead_letters(jetstream, topology.stream("DLQ"), subject)
    assert (letter.code, letter.attempts) == ("too_many_attempts", 4)
    assert letter.document == DOCUMENT


async def test_the_job_of_a_killed_worker_is_redelivered_to_another(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker, nats_server: NatsServer
) -> None:
    topology = provisioned.with_consumer("embedder-bulk", ack_wait=0.5)
    await provision(jetstream, topology)
    finished: list[int] = []

    async def works(_: EmbedChunks, job: Job) -> None:
        finished.append(job.attempt)

    script = Path(__file__).with_name("worker_that_hangs.py")
    worker = await asyncio.create_subprocess_exec(
        sys.executable, script, nats_server.url, topology.namespace, stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout is not None
    try:
        await jetstream.publish(topology.subject(EmbedChunks, lane="bulk"), embed_chunks().encode())
        assert await asyncio.wait_for(worker.stdout.readline(), 20) == b"started 1\n"
    finally:
        worker.kill()
        await worker.wait()
    broker = make_broker()
    consume(broker, topology, "embedder-bulk", EmbedChunks, works)
    await broker.start()
    await drained(jetstream, topology.stream("EMBED"))
    assert finished == [2]


async def test_draining_gives_held_jobs_back_and_lets_running_ones_finish(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    held, running = asyncio.Event(), asyncio.Event()
    finished: list[int] = []

    async def handler(message: EmbedChunks, _: Job) -> None:
        if message.batch == 0:
            held.set()
            raise TransientError("the database is down", retry_after=60)
        running.set()
        await asyncio.sleep(0.5)
        finished.append(message.batch)

    broker = make_broker()
    consume(broker, provisioned, "embedder-bulk", EmbedChunks, handler, max_workers=2)
    await broker.start()
    subject = provisioned.subject(EmbedChunks, lane="bulk")
    await jetstream.publish(subject, embed_chunks(0).encode())
    await jetstream.publish(subject, embed_chunks(1).encode())
    await held.wait()
    await running.wait()
    await broker.stop()

    assert finished == [1]
    # The held one is in the queue again, and comes back after the nak's delay, not after ack_wait.
    again: list[tuple[int, int]] = []

    async def next_handler(message: EmbedChunks, job: Job) -> None:
        again.append((message.batch, job.attempt))

    successor = make_broker()
    consume(successor, provisioned, "embedder-bulk", EmbedChunks, next_handler)
    await successor.start()
    await drained(jetstream, provisioned.stream("EMBED"))
    assert again == [(0, 2)]


async def test_workers_run_together_and_no_more_than_them(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    active = 0
    peaks: list[int] = []
    gate = asyncio.Event()

    async def handler(_: EmbedChunks, __: Job) -> None:
        nonlocal active
        active += 1
        peaks.append(active)
        await gate.wait()
        active -= 1

    broker = make_broker()
    consume(broker, provisioned, "embedder-bulk", EmbedChunks, handler, max_workers=3)
    await broker.start()
    for batch in range(9):
        await jetstream.publish(provisioned.subject(EmbedChunks, lane="bulk"), embed_chunks(batch).encode())

    async def all_busy() -> bool:
        return active == 3

    await eventually(all_busy)
    # No message waits in the process for a free worker: there its ack_wait would run out.
    info = await jetstream.consumer_info(provisioned.stream("EMBED"), "embedder-bulk")
    assert (info.num_ack_pending, info.num_pending) == (3, 6)
    gate.set()
    await drained(jetstream, provisioned.stream("EMBED"))
    assert max(peaks) == 3


async def test_a_producers_reply_header_publishes_nothing(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    async def handler(_: IngestDocument, __: Job) -> None:
        return None

    broker = make_broker()
    consume(broker, provisioned, "ingest-bulk", IngestDocument, handler)
    await broker.start()
    victim = provisioned.subject(PurgeDocument)
    await jetstream.publish(
        provisioned.subject(IngestDocument, lane="bulk", tenant="acme"),
        ingest_document().encode(),
        headers={"reply_to": victim},
    )
    await drained(jetstream, provisioned.stream("INGEST"))
    assert await count(jetstream, provisioned.stream("INDEX")) == 0


async def test_a_dead_letter_that_cannot_be_handled_makes_no_other(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    broker = make_broker()
    consume(broker, provisioned, "dead-letters", DeadLetter, never)
    await broker.start()
    await jetstream.publish(provisioned.subject(DeadLetter, stage="embed"), b"not a dead letter")

    async def acked() -> bool:
        info = await jetstream.consumer_info(provisioned.stream("DLQ"), "dead-letters")
        return info.ack_floor is not None and info.ack_floor.stream_seq == 1

    await eventually(acked)
    assert await count(jetstream, provisioned.stream("DLQ")) == 1
