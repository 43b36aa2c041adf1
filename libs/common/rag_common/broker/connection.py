"""How a service connects to NATS."""

import asyncio
import logging
from types import TracebackType
from typing import Any

import nats.errors
import structlog
from faststream.message import StreamMessage
from faststream.nats import NatsBroker
from faststream.security import SASLPlaintext
from nats.aio.client import Client
from nats.js import JetStreamContext
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry, Counter, Gauge

from rag_common.broker.client import ServiceClient
from rag_common.broker.instrumentation import metric_middleware, trace_middleware
from rag_common.errors import TransientError
from rag_common.permissions import inbox_prefix
from rag_common.settings import ServiceSettings
from rag_common.telemetry import create_tracer_provider
from rag_common.topology import Topology

JETSTREAM_TIMEOUT = 10.0
"""Seconds to wait for an answer of the JetStream API."""

_log = structlog.get_logger(__name__)


class Broker(NatsBroker):
    """FastStream's broker that knows when it is draining.

    ``metrics`` is the registry behind the service's ``/metrics``; ``inbox`` the prefix of the
    reply subjects that this connection may subscribe to. ``closed`` is set when the connection has
    ended for good: by :meth:`stop`, or because the server refuses this client.
    """

    def __init__(
        self,
        servers: list[str],
        *,
        metrics: CollectorRegistry,
        tracer_provider: TracerProvider,
        inbox: str,
        **options: Any,
    ) -> None:
        super().__init__(servers, inbox_prefix=inbox, **options)
        self.metrics = metrics
        self.tracer_provider = tracer_provider
        self.inbox = inbox
        self.draining = asyncio.Event()
        self.closed = asyncio.Event()
        self.held = Gauge(
            "rag_jobs_held", "Jobs that wait for a dependency to come back.", ["consumer"], registry=metrics
        )
        self.buried = Counter(
            "rag_jobs_failed", "Jobs that ended in a dead letter.", ["consumer", "code"], registry=metrics
        )

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, and it is not being re-established."""
        return self._connection is not None and self._connection.is_connected

    def jetstream(self) -> JetStreamContext:
        """The JetStream of this connection, for object stores and for :func:`verify`.

        :raises TransientError: not connected yet.
        """
        if self._connection is None:
            raise TransientError("not connected to NATS yet")
        return self._connection.jetstream(timeout=JETSTREAM_TIMEOUT)

    async def send(self, subject: str, body: bytes) -> None:
        """Publish past the middlewares: no trace header and no metric, for a tenth of the processor time.

        :raises TransientError: not connected yet.
        :raises nats.errors.Error: the connection is closed, or takes no more.
        """
        if self._connection is None:
            raise TransientError("not connected to NATS yet")
        await self._connection.publish(subject, body)

    async def ask(self, subject: str, body: bytes, seconds: float) -> bytes:
        """The answer to a request, past the middlewares like :meth:`send`.

        :raises TransientError: not connected yet.
        :raises nats.errors.TimeoutError: no answer came.
        :raises nats.errors.Error: nobody listens, or the connection is closed.
        """
        if self._connection is None:
            raise TransientError("not connected to NATS yet")
        return (await self._connection.request(subject, body, timeout=seconds)).data

    async def _connect(self) -> Client:
        connection = ServiceClient()
        options = {
            **self._connection_kwargs,
            # FastStream's own callback raises on some errors, which would end the reconnecting.
            "error_cb": self._note_error,
            "closed_cb": self._note_closed,
        }
        await connection.connect(**options)
        self.config.connect(connection)
        return connection

    async def _note_error(self, error: Exception) -> None:
        _log.warning("nats_error", error=repr(error))

    async def _note_closed(self) -> None:
        self.closed.set()

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """End the holds, let running jobs finish within the graceful timeout, then disconnect."""
        self.draining.set()
        connection = self._connection
        try:
            await super().stop(exc_type, exc_val, exc_tb)
        except (nats.errors.Error, TimeoutError):
            # The server is away: there is nobody to flush the last acks to.
            if connection is not None:
                await connection.close()
            self._connection = None
            self.config.disconnect()


def create_broker(
    settings: ServiceSettings, service: str, *, metrics: CollectorRegistry | None = None
) -> Broker:
    """A broker that is not connected yet.

    It reconnects for ever, hands undecoded bytes to the handlers, sends the trace context in the
    headers, and counts messages in ``metrics`` (a new registry unless one is passed).
    """
    topology = Topology(settings.namespace)
    registry = metrics or CollectorRegistry()
    provider = create_tracer_provider(settings, service)
    return Broker(
        [url.strip() for url in settings.nats_url.split(",")],
        metrics=registry,
        tracer_provider=provider,
        inbox=inbox_prefix(service),
        name=service,
        security=_security(settings),
        max_reconnect_attempts=-1,
        reconnect_time_wait=1,
        connect_timeout=5,
        # A peer that vanished without closing the connection is noticed within half a minute.
        ping_interval=10,
        max_outstanding_pings=2,
        drain_timeout=10,
        graceful_timeout=settings.graceful_timeout,
        decoder=_identity,
        apply_types=False,
        middlewares=(metric_middleware(topology, registry), trace_middleware(topology, provider)),
        logger=logging.getLogger("rag.faststream"),
        log_level=logging.DEBUG,
    )


def _security(settings: ServiceSettings) -> SASLPlaintext | None:
    if settings.nats_user is None or settings.nats_password is None:
        return None
    return SASLPlaintext(settings.nats_user, settings.nats_password.get_secret_value())


async def _identity(message: StreamMessage[Any]) -> StreamMessage[Any]:
    return message
