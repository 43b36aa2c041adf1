"""What makes a process a service: probes, metrics, and an orderly start and stop."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import FrameType
from typing import TypeVar

import nats.errors
import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, ProcessCollector, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from rag_common.broker import Broker
from rag_common.errors import RagError, TransientError
from rag_common.provision import verify
from rag_common.settings import ServiceSettings
from rag_common.telemetry import configure_logging
from rag_common.topology import Topology

Check = Callable[[], Awaitable[None]]
"""Returns when the dependency is usable, raises what is wrong otherwise."""
Lifespan = Callable[[], AbstractAsyncContextManager[None]]

START_RETRY = 2.0
"""Seconds between two looks for NATS and its streams, when they were not there at the start."""
START_TRIES = 30
START_PAUSE = 1.0
"""Seconds between two tries of a step of the start."""
CHECK_TIMEOUT = 5.0

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Readiness:
    """Whether the service can do its work, and if not, why.

    Always asked: the connection to NATS, and that the service's consumers are as provisioned.
    """

    def __init__(
        self, broker: Broker, topology: Topology, consumers: Sequence[str], checks: Mapping[str, Check]
    ) -> None:
        self._broker = broker
        self._topology = topology
        self._consumers = consumers
        self._checks = {"nats": self._check_nats, **checks}

    async def problems(self) -> dict[str, str]:
        """What is wrong, by the name of the check; empty when the service is ready."""
        answers = await asyncio.gather(*map(self._ask, self._checks.values()))
        return {name: answer for name, answer in zip(self._checks, answers, strict=True) if answer}

    async def _ask(self, check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                await check()
        except TimeoutError:
            return f"no answer within {CHECK_TIMEOUT:.0f} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return f"{type(error).__name__}: {error}"
        return None

    async def _check_nats(self) -> None:
        if self._broker.draining.is_set():
            raise TransientError("the service is stopping")
        if not self._broker.is_connected:
            raise TransientError("NATS is disconnected")
        await verify(self._broker.jetstream(), self._topology, self._consumers)
        if not self._broker.running:
            raise TransientError("the broker is starting")


def probe_routes(readiness: Readiness, broker: Broker) -> list[Route]:
    """``/livez`` (the event loop turns), ``/readyz`` (503 with the reasons) and ``/metrics``."""
    ProcessCollector(registry=broker.metrics)

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        problems = await readiness.problems()
        return JSONResponse(
            {"ready": not problems, "problems": problems}, status_code=503 if problems else 200
        )

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(broker.metrics), media_type=CONTENT_TYPE_LATEST)

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]


async def when_available(step: Callable[[], Awaitable[T]]) -> T:
    """What ``step`` returns. Services are started in any order: what it needs may come up in half a minute.

    :raises TransientError: after :data:`START_TRIES`.
    """
    for _ in range(START_TRIES - 1):
        try:
            return await step()
        except TransientError as error:
            _log.warning("start_held", code=error.code, reason=error.message)
        await asyncio.sleep(START_PAUSE)
    return await step()


@asynccontextmanager
async def running(broker: Broker, topology: Topology, consumers: Sequence[str]) -> AsyncIterator[None]:
    """Connect, verify and start the broker in the background; drain it at the end.

    The service is up, but not ready, for as long as NATS is away or not provisioned: services may be
    started in any order.
    """
    tasks = [asyncio.create_task(_start(broker, topology, consumers)), asyncio.create_task(_watch(broker))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await broker.stop()
        await asyncio.to_thread(broker.tracer_provider.shutdown)


async def _start(broker: Broker, topology: Topology, consumers: Sequence[str]) -> None:
    """Whatever stands in the way for good ends the process: half a service would look like a whole one."""
    try:
        await _start_when_possible(broker, topology, consumers)
    except Exception:  # noqa: BLE001 - logged with its stack; the supervisor starts the process anew
        _log.critical("start_failed", exc_info=True)
        signal.raise_signal(signal.SIGTERM)


async def _start_when_possible(broker: Broker, topology: Topology, consumers: Sequence[str]) -> None:
    while True:
        try:
            await broker.connect()
            # A missing consumer would be created by the client library, with default settings.
            await verify(broker.jetstream(), topology, consumers)
            await broker.start()
        except (RagError, nats.errors.Error, OSError) as error:
            _log.warning("broker_not_started", reason=str(error) or type(error).__name__)
        else:
            _log.info("broker_started", consumers=list(consumers))
            return
        await asyncio.sleep(START_RETRY)


async def _watch(broker: Broker) -> None:
    """A connection that the server has ended for good cannot be mended: stop, to be started anew."""
    await broker.closed.wait()
    _log.critical("nats_connection_closed")
    signal.raise_signal(signal.SIGTERM)


def make_service(
    settings: ServiceSettings,
    broker: Broker,
    *,
    service: str,
    lifespan: Lifespan,
    checks: Mapping[str, Check],
    consumers: Sequence[str],
    topology: Topology | None = None,
) -> Starlette:
    """The ASGI application of a service that has no HTTP API of its own.

    ``lifespan`` opens what the handlers need: it is entered before the first message is pulled and
    left after the last handler has ended. ``consumers`` are those that the service consumes.
    """
    known = topology or Topology(settings.namespace)

    @asynccontextmanager
    async def run(_: Starlette) -> AsyncIterator[None]:
        async with lifespan(), running(broker, known, consumers):
            yield

    app = Starlette(routes=probe_routes(Readiness(broker, known, consumers, checks), broker), lifespan=run)
    app.state.service = service
    return app


class _Server(uvicorn.Server):
    """Logs the address, and sets ``app.state.stopping`` before open requests are waited for."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event | None) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            _log.info("listening", host=host, port=port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)


def serve(app: Starlette, settings: ServiceSettings) -> None:
    """Run until SIGTERM or SIGINT, then drain: open requests first, running jobs next.

    The port that was bound is logged as ``listening``. An application with responses that never end
    by themselves puts an ``asyncio.Event`` into ``app.state.stopping`` and ends them when it is set.
    """
    configure_logging(settings, getattr(app.state, "service", "rag"))
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.graceful_timeout)),
    )
    listener = config.bind_socket()
    _Server(config, getattr(app.state, "stopping", None)).run(sockets=[listener])
