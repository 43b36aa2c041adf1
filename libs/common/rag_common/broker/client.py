"""A NATS client whose pulls neither create consumers nor spin when something is wrong.

nats-py creates a consumer that is missing, with default settings; and FastStream repeats a pull that
fails at once without a pause, which on a closed connection freezes the event loop.
"""

import asyncio
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


class PatientPull(JetStreamContext.PullSubscription):
    """A pull that failed waits a moment, then reports that there was no message."""

    async def fetch(
        self,
        batch: int = 1,
        timeout: float | None = 5,  # noqa: ASYNC109 - the signature is nats-py's
        heartbeat: float | None = None,
    ) -> list[Msg]:
        """:raises nats.errors.TimeoutError: no message came."""
        start = time.monotonic()
        try:
            return await super().fetch(batch, timeout, heartbeat)
        except TimeoutError:
            # The server may also refuse a pull with a status that nats-py takes for a timeout.
            failure = None
        except nats.errors.Error as error:
            failure = error
            _log.warning("pull_failed", consumer=self._consumer, error=repr(error))
        if failure is not None or time.monotonic() - start < _AT_ONCE:
            await asyncio.sleep(PAUSE)
        raise nats.errors.TimeoutError
