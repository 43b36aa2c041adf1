"""Sending an answer to somebody who may have gone."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import structlog

from rag_common.contracts import AnswerDelta, AnswerDone, AnswerOpened, Citation
from rag_common.errors import TransientError
from rag_generator.domain.citing import Cited
from rag_generator.domain.coalescing import Coalesced
from rag_generator.domain.frames import Frames
from rag_generator.domain.ports import NobodyListens, Replies

ASK_AGAIN = 0.5
"""Seconds between two openings, when nobody has said whether the answer is wanted."""
STILL_WANTED = 1.0
"""Seconds after which the gateway is asked again, also while the model is silent."""
RETURNS_WITHIN = 4.0
"""Seconds for which nobody may listen in the middle of an answer: a gateway that has lost its connection to
NATS is back after about two, one that has died never is."""

_log = structlog.get_logger(__name__)


class Unwanted(Exception):
    """Nobody waits for the answer any more: the client or the gateway has gone."""


@dataclass(slots=True)
class SentText:
    """What has been sent of one attempt. ``first_at``: ``time.monotonic`` at the first text."""

    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    first_at: float | None = None

    def add(self, piece: Cited) -> None:
        """Take note of a piece that was sent."""
        self.text += piece.text
        self.citations += piece.citations
        if piece.text and self.first_at is None:
            self.first_at = time.monotonic()


class Transmission:
    """One attempt at an answer, on its way to ``reply_to``."""

    def __init__(self, replies: Replies, reply_to: str, frames: Frames) -> None:
        self._replies = replies
        self._reply_to = reply_to
        self._frames = frames
        self._question: asyncio.Task[bool] | None = None
        self._asked_at = 0.0
        self._nobody_since: float | None = None

    async def open(self, opened: AnswerOpened, returns_within: float) -> None:
        """Offer the answer, until somebody says whether it is wanted: whoever calls sets the deadline.

        :raises Unwanted: it is not, or nobody has listened for ``returns_within`` seconds.
        """
        while True:
            try:
                wanted = await self._replies.wanted(self._reply_to, opened)
            except TransientError as error:
                self._heed_silence(error, returns_within)
                _log.warning("opening_not_answered", reason=error.message)
                await asyncio.sleep(ASK_AGAIN)
                continue
            if not wanted:
                raise Unwanted
            self._asked_at = time.monotonic()
            return

    async def text(self, pieces: AsyncGenerator[Cited, None]) -> SentText:
        """Send the text as it comes, in pieces of about 20 ms; the pieces are closed when this ends.

        About once a second a piece, empty if need be, asks whether the answer is still wanted.

        :raises Unwanted: it is not any more.
        :raises Exception: what the pieces raise.
        """
        sent = SentText()
        try:
            async with Coalesced(pieces) as coalesced:
                while (piece := await coalesced.take(self._patience())) is not None:
                    if await self._send(piece):
                        sent.add(piece)
                        await coalesced.gather([self._question] if self._question else ())
                    self._heed_answer()
        finally:
            if self._question is not None:
                self._question.cancel()
                await asyncio.gather(self._question, return_exceptions=True)
        return sent

    async def end(self, done: AnswerDone) -> None:
        """Send the end, again if nobody has got it.

        :raises Unwanted: nobody has listened for :data:`RETURNS_WITHIN` seconds.
        """
        while True:
            try:
                await self._replies.wanted(self._reply_to, done)
            except NobodyListens as error:
                self._heed_silence(error, RETURNS_WITHIN)
                await asyncio.sleep(ASK_AGAIN)
                continue
            except TransientError as error:
                _log.warning("end_not_answered", reason=error.message)
            return

    async def _send(self, piece: Cited) -> bool:
        """Whether there was anything to send."""
        if self._question is None and self._patience() <= 0:
            self._asked_at = time.monotonic()
            self._question = asyncio.create_task(self._ask(self._frames.delta(piece.text, piece.citations)))
            # its first step puts the delta on its way, ahead of the next one
            await asyncio.sleep(0)
            return True
        if piece.text or piece.citations:
            delta = self._frames.delta(piece.text, piece.citations)
            await self._replies.send(self._reply_to, delta)
            return True
        return False

    def _patience(self) -> float:
        """Seconds until the next question, or until it is time to look for an answer to the last one."""
        if self._question is not None:
            return STILL_WANTED
        return max(0.0, self._asked_at + STILL_WANTED - time.monotonic())

    def _heed_answer(self) -> None:
        """:raises Unwanted: the last question has been answered so."""
        if self._question is not None and self._question.done():
            question, self._question = self._question, None
            if not question.result():
                raise Unwanted

    async def _ask(self, delta: AnswerDelta) -> bool:
        try:
            wanted = await self._replies.wanted(self._reply_to, delta)
        except TransientError as error:
            # It is asked again in a second; at the latest the deadline ends the work. What nobody has got
            # is missing, which a gateway that is back sees by the next number.
            self._heed_silence(error, RETURNS_WITHIN)
            _log.warning("question_not_answered", reason=error.message)
            return True
        self._nobody_since = None
        return wanted

    def _heed_silence(self, error: TransientError, returns_within: float) -> None:
        """:raises Unwanted: nobody has listened for so many seconds."""
        if not isinstance(error, NobodyListens):
            return
        now = time.monotonic()
        if self._nobody_since is None:
            self._nobody_since = now
        if now >= self._nobody_since + returns_within:
            raise Unwanted from error
