"""Text that is read as fast as it is written, and handed on in fewer pieces."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from types import TracebackType
from typing import Any

from rag_generator.domain.citing import Cited

READ_AHEAD = 256
"""Pieces that wait at most; then the model waits."""
COALESCING = 0.02
"""Seconds that text is gathered for, after some was handed on; nobody reads faster."""


class Coalesced:
    """Reads ``pieces`` in a task of its own while the block is open, and closes them at its end.

    The first piece is handed on at once, and so is any that comes later than :data:`COALESCING` after
    the one before.
    """

    def __init__(self, pieces: AsyncGenerator[Cited, None]) -> None:
        self._pieces = pieces
        self._waiting: asyncio.Queue[Cited | Exception | None] = asyncio.Queue(READ_AHEAD)
        self._reading: asyncio.Task[None] | None = None
        self._ended = False

    async def __aenter__(self) -> "Coalesced":
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def take(self, seconds: float) -> Cited | None:
        """What has come meanwhile, or else the next piece; without text if there is none within ``seconds``,
        ``None`` at the end.

        :raises Exception: what the pieces have raised; text before it is given up.
        """
        taken: list[Cited] = []
        if not self._ended and self._waiting.empty():
            try:
                async with asyncio.timeout(seconds):
                    self._keep(await self._waiting.get(), taken)
            except TimeoutError:
                return Cited("", ())
        while not self._ended and not self._waiting.empty():
            self._keep(self._waiting.get_nowait(), taken)
        return _joined(taken) if taken else None

    async def gather(self, also: Collection["asyncio.Future[Any]"] = ()) -> None:
        """Wait for more text; not longer than until the pieces have ended, or one of ``also`` is done."""
        if self._reading is not None:
            await asyncio.wait(
                (self._reading, *also), timeout=COALESCING, return_when=asyncio.FIRST_COMPLETED
            )

    def _keep(self, item: Cited | Exception | None, taken: list[Cited]) -> None:
        if isinstance(item, Exception):
            raise item
        if item is None:
            self._ended = True
        else:
            taken.append(item)

    async def _read(self) -> None:
        end: Exception | None = None
        try:
            async with aclosing(self._pieces) as pieces:
                async for piece in pieces:
                    await self._waiting.put(piece)
        except Exception as error:  # noqa: BLE001 - belongs to whoever takes the text
            end = error
        await self._waiting.put(end)


def _joined(pieces: list[Cited]) -> Cited:
    if len(pieces) == 1:
        return pieces[0]
    return Cited(
        "".join(piece.text for piece in pieces),
        tuple(citation for piece in pieces for citation in piece.citations),
    )
