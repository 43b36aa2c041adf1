"""What the gateway does without being asked."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import nats.errors
import structlog
from nats.aio.client import Client

from rag_common.broker import Broker
from rag_common.errors import TransientError
from rag_gateway.domain.reconciling import ForeignInstallation, Reconciler
from rag_gateway.metrics import GatewayMetrics

ANSWERS_SHARE = 0.8
"""Of the graceful timeout: after it the server cuts connections."""
_CONNECT_POLL = 0.1
_FORGOTTEN_AT_ONCE = 100
_FORGETTING_PAUSE = 0.5
"""Seconds between two of these batches."""
_log = structlog.get_logger(__name__)


@asynccontextmanager
async def in_background(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run the work for as long as the context lasts."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        while not task.done():
            # asyncio.wait_for of Python 3.11 may swallow a cancellation: ask again
            task.cancel()
            await asyncio.wait([task], timeout=1.0)


class Inbox(Protocol):
    async def open(self, client: Client) -> None: ...


async def keep_open(inbox: Inbox, broker: Broker) -> None:
    """Open the inbox as soon as there is a connection; the client keeps it open from then on."""
    while True:
        await asyncio.sleep(_CONNECT_POLL)
        if not broker.is_connected:
            continue
        try:
            # connected already: this only hands the connection out
            await inbox.open(await broker.connect())
        except (nats.errors.Error, OSError) as error:
            _log.warning("reply_inbox_not_open", reason=repr(error))
        else:
            return


class Listened(Protocol):
    def end_all(self, reason: str) -> None: ...


async def end_answers(inbox: Listened, stopping: asyncio.Event, graceful_timeout: float) -> None:
    """Let running answers finish for most of the graceful timeout, then end them in an orderly way."""
    await stopping.wait()
    await asyncio.sleep(graceful_timeout * ANSWERS_SHARE)
    inbox.end_all("the service is restarting; ask again")


async def keep_reconciling(reconciler: Reconciler, interval: float, metrics: GatewayMetrics) -> None:
    """A turn every ``interval`` seconds, until it is cancelled."""
    while True:
        await asyncio.sleep(interval)
        try:
            done = await reconciler.turn()
        except ForeignInstallation as error:
            metrics.reconciler_refusing.set(1)
            _log.error("reconciler_refuses", reason=str(error))
            continue
        except TransientError as error:
            _log.warning("reconciler_waits", code=error.code, reason=error.message)
            continue
        except Exception:  # noqa: BLE001 - logged with its stack and counted; the next turn must still come
            metrics.reconciled.labels("turns_failed").inc()
            _log.exception("reconciler_failed")
            continue
        if done is None:
            continue
        metrics.reconciler_refusing.set(0)
        metrics.reconciled.labels("turns").inc()
        for action, count in done.items():
            metrics.reconciled.labels(action).inc(count)
        if done:
            _log.info("reconciled", **done)


class OldRows(Protocol):
    async def forget(self, before: datetime, limit: int) -> int: ...


async def keep_forgetting(rows: OldRows, days: int, interval: float) -> None:
    """Every ``interval`` seconds remove what is older than so many days."""
    pause = interval
    while True:
        await asyncio.sleep(pause)
        pause = interval
        try:
            removed = await rows.forget(datetime.now(UTC) - timedelta(days=days), _FORGOTTEN_AT_ONCE)
            if removed == _FORGOTTEN_AT_ONCE:
                # in small batches: none of them holds locks for long
                pause = _FORGETTING_PAUSE
        except TransientError as error:
            _log.warning("forgetting_waits", code=error.code, reason=error.message)
        except Exception:  # noqa: BLE001 - logged with its stack; the next turn must still come
            _log.exception("forgetting_failed")
