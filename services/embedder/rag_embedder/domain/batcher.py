"""Merges the texts of concurrent callers into slices that the encoder is fast with."""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Self

import numpy as np

from rag_common.errors import Overloaded, PermanentError, TransientError
from rag_embedder.domain.budget import SliceBudget
from rag_embedder.domain.encoder import Encoder, EncodingFailed, Meter, Priority, Tokens, Vectors
from rag_embedder.domain.lanes import Lanes
from rag_embedder.domain.work import Request, Slice, Text

TOKENIZE_AT_ONCE = 256
"""Texts that are tokenised in one call: a few milliseconds, the longest that a query waits there."""


class MicroBatcher:
    """Encodes texts of all priorities in worker threads, several slices at a time at most.

    All bookkeeping happens on the event loop, in callbacks; threads only tokenise and encode.
    Whatever arrives while the encoder is busy is merged into the next slices, so nobody waits for a
    batch to fill. Encoders share the workers and the priorities; ``new_budget`` makes the budget of
    each. At most ``max_waiting`` texts of each priority wait. ``shares``: see :class:`Lanes`. Use as
    an async context manager.
    """

    def __init__(
        self,
        *,
        new_budget: Callable[[], SliceBudget],
        meter: Meter,
        workers: int = 1,
        max_waiting: int = 4096,
        shares: Mapping[Priority, float] | None = None,
    ) -> None:
        self._budgets: defaultdict[Encoder, SliceBudget] = defaultdict(new_budget)
        self._meter = meter
        self._max_waiting = max_waiting
        self._lanes = Lanes(shares or {})
        self._untokenized: dict[Priority, deque[Request]] = {priority: deque() for priority in Priority}
        self._waiting: Counter[Priority] = Counter()
        self._requests: set[Request] = set()
        self._tokenizer_pool = ThreadPoolExecutor(1, thread_name_prefix="tokenize")
        self._tokenizer_idle = True
        self._encoder_pool = ThreadPoolExecutor(workers, thread_name_prefix="encode")
        # One slice more than there are workers waits in the pool, so that a worker need not wait for the
        # event loop between two slices. A lone worker goes without: a query would wait behind both.
        self._free_slots = workers + 1 if workers > 1 else 1
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Refuse what waits and what comes; returns when the running slices have ended."""
        self._closed = True
        for request in tuple(self._requests):
            self._fail(request, _stopping())
        for pool in (self._tokenizer_pool, self._encoder_pool):
            await asyncio.to_thread(pool.shutdown)

    @property
    def ready(self) -> int:
        """Texts that are tokenised and wait for a worker."""
        return sum(len(self._lanes[priority]) for priority in Priority)

    async def encode(self, encoder: Encoder, texts: Sequence[Any], priority: Priority) -> Vectors:
        """What ``encoder`` makes of the texts: shape (texts, dimension), in their order.

        A caller that is cancelled costs nothing beyond the slices that are running.

        :raises Overloaded: too many texts of this priority wait.
        :raises EncodingFailed: the model cannot encode one of these texts.
        :raises TransientError: the batcher is closed.
        """
        if self._closed:
            raise _stopping()
        if not texts:
            return np.empty((0, encoder.dimension), np.float32)
        waiting = self._waiting[priority]
        # A request larger than the queue is let in when it is alone, or it never would be.
        if waiting and waiting + len(texts) > self._max_waiting:
            raise Overloaded(f"{waiting} texts wait for the encoder already")
        request = Request(
            encoder=encoder,
            priority=priority,
            texts=texts,
            arrived=time.perf_counter(),
            done=asyncio.get_running_loop().create_future(),
            rows=np.empty((len(texts), encoder.dimension), np.float32),
            missing=len(texts),
        )
        self._admit(request)
        self._start_tokenizing()
        return await request.done

    def _admit(self, request: Request) -> None:
        self._requests.add(request)
        self._waiting[request.priority] += len(request.texts)
        request.done.add_done_callback(lambda _: self._dismiss(request))
        self._untokenized[request.priority].append(request)

    def _dismiss(self, request: Request) -> None:
        self._requests.discard(request)
        self._waiting[request.priority] -= len(request.texts)

    def _start_tokenizing(self) -> None:
        if self._closed or not self._tokenizer_idle or not (requests := self._next_untokenized()):
            return
        self._tokenizer_idle = False
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._tokenizer_pool, _tokenize, requests)
        work.add_done_callback(partial(self._tokenized, requests))

    def _next_untokenized(self) -> list[Request]:
        """Requests of the highest priority that has any, for one encoder: at least one, and what fits."""
        for queue in self._untokenized.values():
            requests: list[Request] = []
            room = TOKENIZE_AT_ONCE
            while queue and (not requests or _fits(queue[0], requests[0], room)):
                request = queue.popleft()
                if not request.settled:
                    requests.append(request)
                    room -= len(request.texts)
            if requests:
                return requests
        return []

    def _tokenized(self, requests: list[Request], work: "asyncio.Future[list[_Tokenized]]") -> None:
        self._tokenizer_idle = True
        for request, tokens in zip(requests, work.result(), strict=True):
            if isinstance(tokens, Exception):
                self._fail(request, _failure(tokens))
            else:
                texts = [Text(request, row, ids) for row, ids in enumerate(tokens)]
                self._lanes[request.priority].add(texts)
        self._start_encoding()
        self._start_tokenizing()

    def _start_encoding(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closed and self._free_slots:
            taken = self._lanes.take(lambda encoder: self._budgets[encoder].tokens)
            if taken is None:
                return
            self._free_slots -= 1
            self._note_start(taken)
            work = loop.run_in_executor(self._encoder_pool, _encode, taken)
            work.add_done_callback(partial(self._encoded, taken))

    def _note_start(self, taken: Slice) -> None:
        now = time.perf_counter()
        for request in taken.requests:
            if not request.started:
                request.started = True
                self._meter.waited(request.priority, now - request.arrived)

    def _encoded(self, taken: Slice, work: "asyncio.Future[tuple[Vectors, float]]") -> None:
        self._free_slots += 1
        error = work.exception()
        if error is None:
            vectors, seconds = work.result()
            self._budgets[taken.encoder].observe(taken.cost, seconds)
            tokens = sum(text.length for text in taken.texts)
            self._meter.encoded(taken.priority, len(taken.texts), tokens, seconds)
            self._deliver(taken, vectors)
        elif len(taken.requests) > 1:
            # One bad text must not fail its neighbours: each request is tried by itself.
            self._lanes[taken.priority].retry(taken.per_request())
        else:
            self._fail(taken.texts[0].request, _failure(error))
        self._start_encoding()

    def _deliver(self, taken: Slice, vectors: Vectors) -> None:
        for text, vector in zip(taken.texts, vectors, strict=True):
            request = text.request
            request.rows[text.row] = vector
            request.missing -= 1
            if not request.missing and not request.settled:
                request.done.set_result(request.rows)

    def _fail(self, request: Request, error: Exception) -> None:
        if not request.settled:
            request.done.set_exception(error)


_Tokenized = Sequence[Tokens] | Exception


def _fits(request: Request, first: Request, room: int) -> bool:
    return request.encoder is first.encoder and len(request.texts) <= room


def _tokenize(requests: Sequence[Request]) -> list[_Tokenized]:
    """The texts of all requests in one call; if that fails, of each request by itself."""
    try:
        tokens = iter(requests[0].encoder.tokenize([text for request in requests for text in request.texts]))
    except Exception as error:  # noqa: BLE001 - a tokenizer may raise anything; the callers are told
        if len(requests) == 1:
            return [error]
        return [_tokenize([request])[0] for request in requests]
    return [[next(tokens) for _ in request.texts] for request in requests]


def _encode(taken: Slice) -> tuple[Vectors, float]:
    """The vectors, and the seconds that they took."""
    encoder = taken.encoder
    started = time.perf_counter()
    vectors = encoder.encode([text.tokens for text in taken.texts])
    if vectors.shape != (len(taken.texts), encoder.dimension) or not np.isfinite(vectors).all():
        raise ValueError("the encoder gave no finite vector of its dimension for each text")
    return vectors, time.perf_counter() - started


def _failure(error: BaseException) -> PermanentError:
    failure = EncodingFailed(f"the model cannot encode a text: {error}")
    failure.__cause__ = error
    return failure


def _stopping() -> TransientError:
    return TransientError("the embedder is stopping")
