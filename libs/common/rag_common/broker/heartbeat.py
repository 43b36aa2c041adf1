"""Tells the server that a job is still being worked on."""

import asyncio
from types import TracebackType

import nats.errors
import structlog
from nats.aio.msg import Msg

_log = structlog.get_logger(__name__)


class Heartbeat:
    """Sends ``in_progress()`` every ``interval`` seconds until the block ends.

    A timer costs less than a task per job, and most jobs are over before the first beat.
    """

    def __init__(self, message: Msg, interval: float) -> None:
        self._message = message
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._schedule()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._beat is not None:
            self._beat.cancel()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._interval, self._start_beat)

    def _start_beat(self) -> None:
        self._beat = asyncio.get_running_loop().create_task(self._send())
        self._schedule()

    async def _send(self) -> None:
        try:
            await self._message.in_progress()
        except nats.errors.Error as error:
            # NATS is away. The next beat, or else a redelivery, makes up for this one.
            _log.debug("heartbeat_failed", error=repr(error))
