"""How a job is worked on, and the three ways in which that ends.

* The handler returns: **ack**.
* It raises :class:`PermanentError`, or anything unexpected: **dead-letter**, then ack.
* It raises :class:`TransientError`: **hold**, that is, keep the message with ``in_progress()`` and
  start the handler again after a pause, for as long as it takes. The workers of the lane fill up with
  held jobs, so the lane pauses by itself and an outage burns no attempts.

Only a draining service gives a held message back, by a nak with a delay. That is a delivery like any
other: a job that is held through ``max_attempts`` restarts ends in the dead letters.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable
from typing import Generic

import nats.errors
import structlog
from faststream import AckPolicy
from faststream.nats import JStream, NatsMessage, PullSub
from nats.aio.msg import Msg
from pydantic import ValidationError

from rag_common.broker.client import PULL_TIMEOUT
from rag_common.broker.connection import Broker
from rag_common.broker.deadletters import bad_message, dead_letter
from rag_common.broker.heartbeat import Heartbeat
from rag_common.broker.job import Handler, Job, M, current_job
from rag_common.broker.publishing import Publisher
from rag_common.contracts import AcceptedContent, DocumentRef, IngestDocument, Message
from rag_common.errors import PermanentError, TransientError
from rag_common.telemetry import log_fields
from rag_common.topology import ConsumerSpec, Topology

NAK_DELAY = 1.0
"""Seconds before a job that a draining service gives back is delivered again."""
MAX_HOLD_PAUSE = 10.0
"""Longest pause, in seconds, before a held job's handler is started again."""
DEAD_LETTERS = "dead-letters"

_log = structlog.get_logger(__name__)


class TooManyAttempts(PermanentError):
    """The job took its worker down, or timed out, again and again."""

    code = "too_many_attempts"


class _Draining(Exception):
    """The service is stopping."""


def consume(
    broker: Broker,
    topology: Topology,
    consumer: str,
    message: type[M],
    handler: Handler[M],
    *,
    max_workers: int = 1,
    batch_size: int = 1,
) -> None:
    """Subscribe a handler to a durable consumer, which must exist (``verify`` it first).

    There are ``max_workers`` pulls, each of ``batch_size`` messages whose handlers run together. A
    job starts, and heartbeats, as soon as it is pulled: with FastStream's own ``max_workers`` one
    message waits, unattended, for a free worker, and in an outage it would be redelivered for ever.
    """
    worker = _Worker(broker, topology, topology.consumer(consumer), message, handler)
    spec = worker.spec
    for _ in range(max_workers):
        subscribe = broker.subscriber(
            spec.filter_subject,
            durable=spec.name,
            stream=JStream(spec.stream, declare=False),
            pull_sub=PullSub(batch_size=batch_size, timeout=PULL_TIMEOUT),
            ack_policy=AckPolicy.MANUAL,
            inbox_prefix=f"{broker.inbox}.".encode(),
            # A producer chooses the headers: its "reply_to" must not make us publish anything.
            no_reply=True,
        )
        subscribe(worker.receive)


class _Worker(Generic[M]):
    def __init__(
        self,
        broker: Broker,
        topology: Topology,
        spec: ConsumerSpec,
        contract: type[M],
        handler: Handler[M],
    ) -> None:
        self.spec = spec
        self._draining = broker.draining
        self._topology = topology
        self._publisher = Publisher(broker, topology)
        self._contract = contract
        self._handler = handler
        self._held = broker.held.labels(spec.name)
        self._buried = broker.buried

    async def receive(self, received: NatsMessage) -> None:
        """Work on one delivery until it is acked or given back."""
        message = received.raw_message
        job = Job.of(message, self._topology)
        with (
            log_fields(consumer=self.spec.name, sequence=job.sequence, attempt=job.attempt),
            Heartbeat(message, self.spec.ack_wait / 3),
        ):
            try:
                await self._work(message, job)
            except _Draining:
                await _settle(received.nack(NAK_DELAY))
            else:
                await _settle(received.ack())

    async def _work(self, message: Msg, job: Job) -> None:
        if self._draining.is_set():
            raise _Draining
        token = current_job.set(job)
        try:
            contract = self._decode(message.data, job)
            if job.attempt > self.spec.max_attempts:
                raise TooManyAttempts(f"gave up after {self.spec.max_attempts} attempts")
            await self._run_until_settled(contract, job)
        except _Draining:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, its job must not be lost
            await self._bury(message, job, error)
        finally:
            current_job.reset(token)

    def _decode(self, body: bytes, job: Job) -> M:
        try:
            contract = self._contract.decode(body)
            job.document = _document_of(contract, job)
        except ValidationError as error:
            raise bad_message(error) from None
        return contract

    async def _run_until_settled(self, contract: M, job: Job) -> None:
        """Run the handler; while it raises TransientError, pause and run it again."""
        pause = 0.0
        while True:
            job.tries += 1
            try:
                return await self._run(contract, job)
            except TransientError as error:
                pause = min(max(error.retry_after, pause * 2), MAX_HOLD_PAUSE)
                _log.warning("job_held", code=error.code, reason=error.message, seconds=pause)
            with self._held.track_inprogress():
                # The jitter keeps the workers of a lane from knocking all at once.
                await self._pause(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._draining.wait(), seconds)
            raise _Draining

    async def _run(self, contract: M, job: Job) -> None:
        with log_fields(**_log_fields_of(job)):
            await self._handler(contract, job)

    async def _bury(self, message: Msg, job: Job, error: Exception) -> None:
        """Store the dead letter; only then may the job be acked."""
        letter = dead_letter(message, job, self.spec.stage, error)
        _log.error("job_failed", code=letter.code, reason=letter.reason, stack=letter.stack or None)
        self._buried.labels(self.spec.name, letter.code).inc()
        if self.spec.stage == DEAD_LETTERS:
            # A dead letter that cannot be handled stays in its stream; another one would loop.
            return
        msg_id = f"dead:{self.spec.name}:{job.stream}:{job.sequence}"
        try:
            await self._publisher.publish(letter, msg_id=msg_id, stage=self.spec.stage)
        except TransientError:
            raise _Draining from None


def _document_of(contract: Message, job: Job) -> DocumentRef | None:
    document = getattr(contract, "document", None)
    if isinstance(document, DocumentRef):
        return document
    if isinstance(contract, IngestDocument) and isinstance(contract.content, AcceptedContent) and job.tenant:
        content = contract.content
        return DocumentRef(tenant=job.tenant, document_id=content.document_id, generation=content.generation)
    return None


def _log_fields_of(job: Job) -> dict[str, object]:
    if job.document is None:
        return {}
    return {"document_id": job.document.document_id, "generation": job.document.generation}


async def _settle(answer: Awaitable[None]) -> None:
    try:
        await answer
    except nats.errors.Error as error:
        # The job is done but the server will not know: it is redelivered, and idempotent.
        _log.warning("ack_lost", error=repr(error))
