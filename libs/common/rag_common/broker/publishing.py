"""The one way to publish."""

import asyncio
import contextlib
from functools import partial
from typing import Protocol

import nats.errors
import nats.js.errors
import structlog
from nats.js.api import Header, PubAck

from rag_common.broker.connection import Broker
from rag_common.broker.job import current_job
from rag_common.contracts import MAX_MESSAGE_BYTES, DeadLetter, Message
from rag_common.errors import Overloaded, PermanentError, TransientError
from rag_common.topology import Topology

PUB_ACK_TIMEOUT = 5.0
"""Seconds to wait for the server's answer; the library's 0.5 s is too short under load."""
PUBLISH_TRIES = 3
MAX_HOLD_DELAY = 2.0
"""Longest pause, in seconds, between two tries of a job's refused publish."""

# Codes of JetStream's API errors, from the server's errors.json.
_FULL = {10023, 10028, 10047, 10077}
_TOO_LARGE = {10054}

_log = structlog.get_logger(__name__)


class _Store(Protocol):
    async def __call__(self, *, may_repeat: bool) -> None: ...


class DuplicateMessage(PermanentError):
    """Another message with the same id was stored shortly before; this one was dropped."""

    code = "duplicate_message"


class MessageTooLarge(PermanentError):
    """The encoded message is above ``MAX_MESSAGE_BYTES``, or above what the server takes."""

    code = "message_too_large"


class Publisher:
    """Publishes the contracts to the subjects that they name."""

    def __init__(self, broker: Broker, topology: Topology) -> None:
        self._broker = broker
        self._topology = topology

    async def publish(self, message: Message, *, msg_id: str, **tokens: str) -> None:
        """Store a message in its stream; returns when the server has acknowledged it.

        Inside a job this holds while the queue is full or NATS is away, so that a handler is not
        run again for each batch that is refused; elsewhere, or when draining, it raises.
        ``msg_id`` names what is published; inside a job the delivery is added to it: a redelivered
        job has to publish anew, as the first message may have been purged or refused since.

        :raises Overloaded: the subject or the stream is full.
        :raises TransientError: NATS is away, or the stream does not exist.
        :raises MessageTooLarge: the message is larger than ``MAX_MESSAGE_BYTES``.
        :raises DuplicateMessage: the id was used before by something else.
        """
        body = message.encode() if isinstance(message, DeadLetter) else _encoded(message)
        stream = self._topology.stream(_stream_of(message))
        subject = self._topology.subject(type(message), **tokens)
        job = current_job.get()
        if job is None:
            await self._store(subject, stream, body, msg_id, may_repeat=False)
            return
        run_id = f"{msg_id}#{job.run}"
        await self._hold(partial(self._store, subject, stream, body, run_id), may_repeat=job.tries > 1)

    async def hint(self, message: Message, **tokens: str) -> None:
        """Publish without waiting for an answer; a hint that cannot be sent is dropped."""
        subject = self._topology.subject(type(message), **tokens)
        with contextlib.suppress(nats.errors.Error, TransientError):
            await self._broker.send(subject, message.encode())

    async def reply(self, reply_to: str, message: Message) -> None:
        """Answer on a reply subject.

        :raises MessageTooLarge: the message is larger than ``MAX_MESSAGE_BYTES``.
        :raises TransientError: NATS is away.
        """
        body = _encoded(message)
        try:
            await self._broker.send(reply_to, body)
        except nats.errors.MaxPayloadError as error:
            raise MessageTooLarge("the message is above the server's max_payload") from error
        except nats.errors.Error as error:
            raise TransientError(f"NATS is unavailable: {error}") from error

    async def _hold(self, store: _Store, *, may_repeat: bool) -> None:
        delay = 0.05
        while True:
            try:
                return await store(may_repeat=may_repeat)
            except TransientError as error:
                if self._broker.draining.is_set():
                    raise
                may_repeat = True
                _log.debug("publish_held", reason=error.message)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._broker.draining.wait(), delay)
            delay = min(delay * 2, MAX_HOLD_DELAY)

    async def _store(self, subject: str, stream: str, body: bytes, msg_id: str, *, may_repeat: bool) -> None:
        if not self._broker.is_connected:
            raise TransientError("NATS is disconnected")
        failure: Exception | None = None
        for number in range(PUBLISH_TRIES):
            if number:
                await asyncio.sleep(0.1 * number)
            try:
                ack = await self._send(subject, stream, body, msg_id)
            except nats.js.errors.APIError as error:
                raise _refused(subject, error) from error
            except nats.js.errors.NoStreamResponseError as error:
                raise TransientError(
                    f"no stream takes {subject}; run 'ragp provision'", code="stream_missing"
                ) from error
            except nats.errors.MaxPayloadError as error:
                raise MessageTooLarge("the message is above the server's max_payload") from error
            except (nats.errors.Error, TimeoutError) as error:
                # The message may have been stored: only the answer is missing.
                failure, may_repeat = error, True
            else:
                if ack.duplicate and not may_repeat:
                    raise DuplicateMessage(f"the message id {msg_id!r} was used before in {stream}")
                return
        raise TransientError(f"NATS does not answer: {type(failure).__name__}") from failure

    async def _send(self, subject: str, stream: str, body: bytes, msg_id: str) -> PubAck:
        return await self._broker.publish(
            body, subject, headers={Header.MSG_ID: msg_id}, stream=stream, timeout=PUB_ACK_TIMEOUT
        )


def _encoded(message: Message) -> bytes:
    body = message.encode()
    if len(body) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"a message of {len(body)} bytes is above the limit of {MAX_MESSAGE_BYTES}")
    return body


def _stream_of(message: Message) -> str:
    if message.stream is None:
        raise TypeError(f"{type(message).__name__} has no stream; use hint() or reply()")
    return message.stream


def _refused(subject: str, error: nats.js.errors.APIError) -> TransientError | PermanentError:
    description = error.description or str(error)
    if error.err_code in _FULL:
        return Overloaded(f"{subject} is full: {description}")
    if error.err_code in _TOO_LARGE:
        return MessageTooLarge(f"{subject} refused the message: {description}")
    return TransientError(f"{subject} refused the message: {description}")
