"""Stands between questions and a model: turns, deadlines, and rest for an endpoint that fails."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from rag_common.contracts import Adapter
from rag_common.errors import PermanentError
from rag_generator.domain.breaker import Breaker
from rag_generator.domain.choosing import Endpoint
from rag_generator.domain.llm import ModelMissing, ModelUnavailable, Piece, Prompt

FAIR_CHANCE = 5.0
"""Seconds without a first text that count against an endpoint, also where whoever asked could have waited
no longer; a shorter silence may be that of a model which is only slow."""


class _Hurried(ModelUnavailable):
    """The caller's time was over before the endpoint had a fair chance to begin."""


class GuardedLLM:
    """An endpoint that is asked ``concurrency`` things at a time, and none while its breaker is open.

    A question waits ``first_token`` seconds at most for its turn, and again for the first token; further
    ones must come within ``idle`` seconds. A caller may have less time to wait for both. Whatever takes
    longer raises :class:`ModelUnavailable`.
    """

    def __init__(
        self, endpoint: Endpoint, breaker: Breaker, *, concurrency: int, first_token: float, idle: float
    ) -> None:
        self._endpoint = endpoint
        self._breaker = breaker
        self._turns = asyncio.Semaphore(concurrency)
        self._first_token = first_token
        self._idle = idle

    @property
    def adapter(self) -> Adapter:
        return self._endpoint.adapter

    @property
    def model(self) -> str:
        return self._endpoint.model

    @property
    def context_tokens(self) -> int:
        return self._endpoint.context_tokens

    @property
    def known_failure(self) -> ModelUnavailable | None:
        """See :class:`LLM`: the endpoint has failed several times, and has rest."""
        return self._resting() if self._breaker.is_open else None

    async def models(self) -> tuple[str, ...]:
        return await self._endpoint.models()

    def missing(self, names: Sequence[str]) -> ModelMissing | None:
        return self._endpoint.missing(names)

    async def needs_loading(self) -> bool:
        return await self._endpoint.needs_loading()

    async def load(self) -> None:
        await self._endpoint.load()

    async def stream(
        self, prompt: Prompt, *, turn_within: float = math.inf, begin_within: float = math.inf
    ) -> AsyncGenerator[Piece, None]:
        """See :class:`LLM`; pieces without text are left out, save the last one."""
        begin_by = time.monotonic() + begin_within
        if failure := self.known_failure:
            raise failure
        async with self._turn(min(turn_within, begin_within, self._first_token)):
            left = min(begin_by - time.monotonic(), self._first_token)
            if left <= 0:
                raise self._busy()
            call = self._breaker.enter()
            if call is None:
                raise self._resting()
            try:
                async with aclosing(self._timed(prompt, left)) as pieces:
                    async for piece in pieces:
                        if piece.finish is not None:
                            # Before it is handed on: nobody need ask for more after the last piece.
                            self._breaker.succeeded(call)
                        if piece.text or piece.finish is not None:
                            yield piece
            except _Hurried:
                self._breaker.left(call)
                raise
            except ModelUnavailable:
                self._breaker.failed(call)
                raise
            except PermanentError:
                # It answers: what is wrong lies with the request.
                self._breaker.succeeded(call)
                raise
            except BaseException:
                self._breaker.left(call)
                raise

    @asynccontextmanager
    async def _turn(self, within: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(within):
                await self._turns.acquire()
        except TimeoutError as error:
            raise self._busy() from error
        try:
            yield
        finally:
            self._turns.release()

    async def _timed(self, prompt: Prompt, begin_within: float) -> AsyncGenerator[Piece, None]:
        limit, hurried = begin_within, begin_within < min(FAIR_CHANCE, self._first_token)
        left = limit
        async with aclosing(self._endpoint.stream(prompt)) as pieces:
            while True:
                asked = time.monotonic()
                try:
                    async with asyncio.timeout(left):
                        piece = await anext(pieces, None)
                except TimeoutError as error:
                    kind = _Hurried if hurried else ModelUnavailable
                    failure = f"the model {self.model} said nothing for {limit:.3g} s"
                    raise kind(failure) from error
                if piece is None:
                    return
                # Only text begins a new wait: some endpoints greet with an empty piece before they have
                # read the prompt, and send more of them while they reason.
                left -= time.monotonic() - asked
                if piece.text:
                    limit, left, hurried = self._idle, self._idle, False
                yield piece

    def _resting(self) -> ModelUnavailable:
        return ModelUnavailable(f"the model {self.model} has failed several times and is given a rest")

    def _busy(self) -> ModelUnavailable:
        return ModelUnavailable(f"the model {self.model} is busy with other questions", code="model_busy")
