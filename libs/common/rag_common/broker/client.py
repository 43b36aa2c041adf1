"""A NATS client whose pulls neither create consumers, nor sit on messages, nor spin when something is wrong.

nats-py creates a consumer that is missing, with default settings. Its pull for several messages may wait
for the rest of them when it has the first. And FastStream repeats a pull that fails at once without a
pause, which on a closed connection freezes the event loop.
"""

import asyncio
import contextlib
import json
import time
from typing import Any

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

PAUSE = 1.0
"""Seconds before the next pull after one that failed at once."""
_AT_ONCE = 0.1
PULL_TIMEOUT = 5.0
"""Seconds that an idle pull waits."""
ANSWER_TIMEOUT = 2.0
"""Seconds by which an answer of the server may be late; after a reconnect it never comes."""
REST_TIMEOUT = 0.1
"""Seconds for the rest of an answer that has begun: it has no end where too many messages are not acked."""

_log = structlog.get_logger(__name__)


class ServiceClient(Client):
    """nats-py's client, with :class:`BindingJetStream`."""

    def jetstream(self, **options: Any) -> "BindingJetStream":
        return BindingJetStream(self, **options)


class BindingJetStream(JetStreamContext):
    """Pull subscriptions bind to durable consumers that exist."""

    async def pull_subscribe(self, subject: str, *args: Any, **options: Any) -> "PatientPull":
        """:raises nats.js.errors.NotFoundError: there is no such stream or consumer."""
        stream, durable = options["stream"], options["durable"]
        await self.consumer_info(stream, durable)
        bound = await self.pull_subscribe_bind(
            consumer=durable, stream=stream, inbox_prefix=options.get("inbox_prefix")
        )
        return PatientPull(self, bound._sub, stream, durable, bound._deliver.encode())


async def flush(client: Client) -> None:
    """Return when the server has seen all that was sent before, subscriptions included.

    One flush of nats-py is no such barrier: its PING goes out ahead of what the client still buffers,
    which the server has only by the time of the second one.
    """
    await client.flush()
    await client.flush()


class PatientPull(JetStreamContext.PullSubscription):
    """A pull that returns what there is, and waits only while there is nothing.

    One that failed waits a moment, then reports that there was no message.
    """

    async def fetch(
        self,
        batch: int = 1,
        timeout: float | None = 5,  # noqa: ASYNC109 - the signature is nats-py's
        heartbeat: float | None = None,
    ) -> list[Msg]:
        """At most ``batch`` messages: those that are there, or the first that comes. Those of an earlier pull
        that came late are returned first, by themselves.

        :raises nats.errors.TimeoutError: none came within ``timeout`` seconds.
        """
        start = time.monotonic()
        wait = PULL_TIMEOUT if timeout is None else timeout
        try:
            messages = await self._arrived_late()
            if not messages and batch > 1:
                messages = await self._pull(batch, no_wait=True)
            if messages := messages or await self._pull(1, wait):
                return messages
            failure = None
        except nats.errors.Error as error:
            failure = error
            _log.warning("pull_failed", consumer=self._consumer, error=repr(error))
        if failure is not None or time.monotonic() - start < _AT_ONCE:
            await asyncio.sleep(PAUSE)
        raise nats.errors.TimeoutError

    async def _arrived_late(self) -> list[Msg]:
        """Messages of an earlier pull; its status is dropped, or it would end the next one."""
        arrived = [await self._sub.next_msg() for _ in range(self._sub.pending_msgs)]
        return [message for message in arrived if JetStreamContext.is_status_msg(message) is None]

    async def _pull(self, batch: int, wait: float = 0.0, *, no_wait: bool = False) -> list[Msg]:
        """What the server sends for one request; it ends with a status unless there are ``batch``."""
        request = {"batch": batch, **({"no_wait": True} if no_wait else {"expires": int(wait * 1e9)})}
        await self._nc.publish(self._nms, json.dumps(request).encode(), self._deliver)
        messages: list[Msg] = []
        # no status at all: the connection was lost meanwhile
        with contextlib.suppress(nats.errors.TimeoutError):
            while len(messages) < batch:
                message = await self._sub.next_msg(REST_TIMEOUT if messages else wait + ANSWER_TIMEOUT)
                status = JetStreamContext.is_status_msg(message)
                if status is None:
                    messages.append(message)
                elif JetStreamContext._is_temporary_error(status):
                    break
                else:
                    raise nats.js.errors.APIError.from_msg(message)
        return messages
