"""The micro-batcher: who gets which vectors, when, and what happens if something goes wrong."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rag_common.errors import Overloaded, TransientError
from rag_common.testing.encoder import HashEncoder
from rag_embedder.domain import Encoder, EncodingFailed, MicroBatcher, Priority, SliceBudget, Vectors

# A batcher that forgets a caller hangs: looking for the smallest such example would take for ever.
UNSHRUNK = settings(deadline=None, max_examples=60, phases=(Phase.explicit, Phase.generate))
BUDGET = 64
FOREVER = 1e9
"""Seconds for a slice: the budget then stays what it is."""


class ScriptedEncoder:
    """The text ``"7x30"`` has 30 tokens and the vector ``(7, 30)``; a minus makes it poisonous.

    With ``gate`` closed a slice stays in the encoder until it is opened.
    """

    dimension = 2

    def __init__(self) -> None:
        self.slices: list[list[tuple[int, int]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self._lock = threading.Lock()

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [[int(number)] * int(length) for number, length in (text.split("x") for text in texts)]

    def encode(self, batch: Sequence[Sequence[int]]) -> Vectors:
        with self._lock:
            self.slices.append([(tokens[0], len(tokens)) for tokens in batch])
        self.entered.release()
        assert self.gate.wait(30)
        if any(tokens[0] < 0 for tokens in batch):
            raise RuntimeError("poison")
        return np.array([(tokens[0], len(tokens)) for tokens in batch], np.float32)

    def numbers(self) -> list[int]:
        return [number for one in self.slices for number, _ in one]


class ListMeter:
    def __init__(self) -> None:
        self.waits: list[Priority] = []
        self.slices: list[tuple[Priority, int, int]] = []

    def waited(self, priority: Priority, seconds: float) -> None:
        assert seconds >= 0
        self.waits.append(priority)

    def encoded(self, priority: Priority, texts: int, tokens: int, seconds: float) -> None:
        assert seconds >= 0
        self.slices.append((priority, texts, tokens))


class Batcher:
    """A batcher of one encoder, which needs not be named in every call."""

    def __init__(self, batcher: MicroBatcher, encoder: Encoder) -> None:
        self._batcher = batcher
        self._encoder = encoder

    @property
    def ready(self) -> int:
        return self._batcher.ready

    async def encode(
        self, texts: Sequence[str], priority: Priority, encoder: Encoder | None = None
    ) -> Vectors:
        return await self._batcher.encode(encoder or self._encoder, texts, priority)


@asynccontextmanager
async def batching(
    encoder: ScriptedEncoder, *, workers: int = 1, max_waiting: int = 1000, meter: ListMeter | None = None
) -> AsyncIterator[Batcher]:
    async with MicroBatcher(
        new_budget=lambda: SliceBudget(BUDGET, FOREVER),
        meter=meter or ListMeter(),
        workers=workers,
        max_waiting=max_waiting,
        shares={Priority.BULK: 0.1},
    ) as batcher:
        try:
            yield Batcher(batcher, encoder)
        finally:
            encoder.gate.set()


@asynccontextmanager
async def busy(encoder: ScriptedEncoder, batcher: Batcher) -> AsyncIterator[None]:
    """Inside, the one worker is held up by a bulk text numbered 0."""
    encoder.gate.clear()
    blocker = asyncio.ensure_future(batcher.encode(["0x1"], Priority.BULK))
    await asyncio.to_thread(encoder.entered.acquire, timeout=30)
    yield
    encoder.gate.set()
    await blocker


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the batcher has no event for its own inner state
            await asyncio.sleep(0.001)


lengths = st.integers(1, 100)
requests = st.lists(
    st.tuples(st.sampled_from(Priority), st.lists(lengths, max_size=9)), min_size=1, max_size=12
)


@given(requests=requests, workers=st.integers(1, 3))
@UNSHRUNK
def test_each_caller_gets_its_vectors_in_order(
    requests: list[tuple[Priority, list[int]]], workers: int
) -> None:
    encoder, meter = ScriptedEncoder(), ListMeter()

    async def scenario() -> list[Vectors]:
        async with asyncio.timeout(30), batching(encoder, workers=workers, meter=meter) as batcher:
            return await asyncio.gather(
                *(
                    batcher.encode([f"{100 * no + row}x{n}" for row, n in enumerate(lengths)], priority)
                    for no, (priority, lengths) in enumerate(requests)
                )
            )

    results = asyncio.run(scenario())
    for no, (vectors, (_, lengths)) in enumerate(zip(results, requests, strict=True)):
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(lengths), 2)
        assert vectors.tolist() == [[100 * no + row, n] for row, n in enumerate(lengths)]
    expected = [100 * no + row for no, (_, lengths) in enumerate(requests) for row in range(len(lengths))]
    assert Counter(encoder.numbers()) == Counter(expected)
    for one in encoder.slices:
        assert len(one) == 1 or len(one) * max(length for _, length in one) <= BUDGET
    assert sum(texts for _, texts, _ in meter.slices) == len(expected)
    assert sum(tokens for *_, tokens in meter.slices) == sum(n for _, lengths in requests for n in lengths)
    assert Counter(meter.waits) == Counter(priority for priority, lengths in requests if lengths)


@given(
    requests=st.lists(st.lists(st.tuples(lengths, st.booleans()), min_size=1, max_size=5), max_size=10),
    workers=st.integers(1, 3),
)
@UNSHRUNK
def test_a_poisonous_text_fails_only_its_own_request(
    requests: list[list[tuple[int, bool]]], workers: int
) -> None:
    encoder = ScriptedEncoder()

    async def scenario() -> list[Vectors | BaseException]:
        async with asyncio.timeout(30), batching(encoder, workers=workers) as batcher:
            return await asyncio.gather(
                *(
                    batcher.encode(
                        [f"{-1 if poison else 100 * no + row}x{n}" for row, (n, poison) in enumerate(texts)],
                        Priority.BULK,
                    )
                    for no, texts in enumerate(requests)
                ),
                return_exceptions=True,
            )

    for no, (result, texts) in enumerate(zip(asyncio.run(scenario()), requests, strict=True)):
        if any(poison for _, poison in texts):
            assert isinstance(result, EncodingFailed)
            assert "poison" in result.message
        else:
            assert isinstance(result, np.ndarray)
            assert result.tolist() == [[100 * no + row, n] for row, (n, _) in enumerate(texts)]


async def test_concurrent_texts_are_merged_while_the_encoder_is_busy() -> None:
    encoder = ScriptedEncoder()
    async with batching(encoder) as batcher:
        async with busy(encoder, batcher):
            waiting = [asyncio.ensure_future(batcher.encode([f"{n}x6"], Priority.QUERY)) for n in range(1, 9)]
            await until(lambda: batcher.ready == 8)
        await asyncio.gather(*waiting)
    assert encoder.slices[1:] == [[(n, 6) for n in range(1, 9)]]


async def test_a_query_passes_everything_that_waits() -> None:
    encoder = ScriptedEncoder()
    async with batching(encoder) as batcher:
        async with busy(encoder, batcher):
            bulk = asyncio.ensure_future(batcher.encode(["1x60", "1x60"], Priority.BULK))
            interactive = asyncio.ensure_future(batcher.encode(["2x60", "2x60"], Priority.INTERACTIVE))
            await until(lambda: batcher.ready == 4)
            query = asyncio.ensure_future(batcher.encode(["3x5"], Priority.QUERY))
            await until(lambda: batcher.ready == 5)
        await asyncio.gather(bulk, interactive, query)
    assert encoder.numbers() == [0, 3, 2, 2, 1, 1]


async def test_a_cancelled_caller_is_skipped() -> None:
    encoder = ScriptedEncoder()
    async with batching(encoder) as batcher:
        async with busy(encoder, batcher):
            gone = asyncio.ensure_future(batcher.encode(["1x30", "1x20"], Priority.BULK))
            stays = asyncio.ensure_future(batcher.encode(["2x30", "2x20"], Priority.BULK))
            await until(lambda: batcher.ready == 4)
            gone.cancel()
            await asyncio.wait([gone])
        assert (await stays).tolist() == [[2, 30], [2, 20]]
    assert gone.cancelled()
    assert encoder.numbers() == [0, 2, 2]


async def test_a_caller_cancelled_in_the_encoder_harms_nobody() -> None:
    encoder = ScriptedEncoder()
    encoder.gate.clear()
    async with batching(encoder) as batcher:
        gone = asyncio.ensure_future(batcher.encode(["1x5"], Priority.BULK))
        await until(lambda: len(encoder.slices) == 1)
        gone.cancel()
        await asyncio.wait([gone])
        stays = asyncio.ensure_future(batcher.encode(["2x5"], Priority.BULK))
        await until(lambda: batcher.ready == 1)
        encoder.gate.set()
        async with asyncio.timeout(30):
            assert (await stays).tolist() == [[2, 5]]


async def test_a_caller_cancelled_before_the_tokenizer_is_skipped_by_it() -> None:
    class SlowTokenizer(ScriptedEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
            assert self.gate.wait(30)
            self.seen.extend(texts)
            return super().tokenize(texts)

    encoder = SlowTokenizer()
    encoder.gate.clear()
    async with batching(encoder) as batcher:
        texts = ("1x1", "2x2", "3x3")
        first, gone, stays = (asyncio.ensure_future(batcher.encode([t], Priority.BULK)) for t in texts)
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        encoder.gate.set()
        await asyncio.gather(first, stays)
    assert encoder.seen == ["1x1", "3x3"]


async def test_the_event_loop_runs_while_texts_are_encoded() -> None:
    encoder = ScriptedEncoder()
    async with batching(encoder) as batcher, busy(encoder, batcher):
        ticked = asyncio.Event()
        asyncio.get_running_loop().call_later(0.001, ticked.set)
        await asyncio.wait_for(ticked.wait(), 30)
        assert not encoder.gate.is_set()


async def test_as_many_slices_as_workers_run_at_once() -> None:
    encoder = ScriptedEncoder()
    encoder.gate.clear()
    async with batching(encoder, workers=2) as batcher:
        work = asyncio.ensure_future(batcher.encode(["1x60"] * 3, Priority.BULK))
        await until(lambda: len(encoder.slices) == 2)
        encoder.gate.set()
        await work
    assert len(encoder.slices) == 3


async def test_a_full_lane_refuses_and_the_others_go_on() -> None:
    encoder = ScriptedEncoder()
    async with batching(encoder, max_waiting=3) as batcher:
        async with busy(encoder, batcher):
            bulk = asyncio.ensure_future(batcher.encode(["1x1", "1x1"], Priority.BULK))
            await until(lambda: batcher.ready == 2)
            with pytest.raises(Overloaded):
                await batcher.encode(["2x1"], Priority.BULK)
            query = asyncio.ensure_future(batcher.encode(["3x1"], Priority.QUERY))
            await until(lambda: batcher.ready == 3)
        await asyncio.gather(bulk, query)
        # What has left the lane makes room again, and a large request is let into an empty lane.
        assert (await batcher.encode(["4x1"] * 10, Priority.BULK)).shape == (10, 2)


async def test_a_text_that_cannot_be_tokenised_fails_only_its_own_request() -> None:
    encoder = ScriptedEncoder()
    async with batching(encoder) as batcher:
        bad = asyncio.ensure_future(batcher.encode(["1x1", "no number"], Priority.BULK))
        good = asyncio.ensure_future(batcher.encode(["2x1"], Priority.BULK))
        assert (await good).tolist() == [[2, 1]]
        with pytest.raises(EncodingFailed):
            await bad


@pytest.mark.parametrize("wrong", [np.full((1, 2), np.nan), np.zeros((1, 3)), np.zeros((2, 2))])
async def test_vectors_that_cannot_be_right_are_a_failure(wrong: Vectors) -> None:
    class Broken(ScriptedEncoder):
        def encode(self, batch: Sequence[Sequence[int]]) -> Vectors:
            return wrong

    async with batching(Broken()) as batcher:
        with pytest.raises(EncodingFailed, match="finite vector"):
            await batcher.encode(["1x1"], Priority.QUERY)


async def test_no_texts_need_no_encoder() -> None:
    encoder = ScriptedEncoder()
    async with batching(encoder) as batcher:
        assert (await batcher.encode([], Priority.BULK)).shape == (0, 2)
    assert encoder.slices == []


async def test_closing_refuses_what_waits_and_what_comes() -> None:
    encoder = ScriptedEncoder()
    async with batching(encoder) as batcher:
        encoder.gate.clear()
        running = asyncio.ensure_future(batcher.encode(["1x60"], Priority.BULK))
        await until(lambda: len(encoder.slices) == 1)
        waiting = asyncio.ensure_future(batcher.encode(["2x60"], Priority.BULK))
        await until(lambda: batcher.ready == 1)
    for refused in (running, waiting):
        with pytest.raises(TransientError, match="stopping"):
            await refused
    with pytest.raises(TransientError, match="stopping"):
        await batcher.encode(["3x1"], Priority.QUERY)
    assert encoder.numbers() == [1]


async def test_the_fake_encoder_gives_each_text_its_own_vector() -> None:
    encoder = HashEncoder(16)
    budget = partial(SliceBudget, BUDGET, FOREVER)
    async with MicroBatcher(new_budget=budget, meter=ListMeter()) as batcher:
        texts = ["a red fox", "", "A RED FOX", "quite another text"]
        vectors = await batcher.encode(encoder, texts, Priority.BULK)
    assert vectors == pytest.approx(encoder.vectors(["a red fox", "", "a red fox", "quite another text"]))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    assert vectors[0] @ vectors[2] > 0.99 > vectors[0] @ vectors[3]


async def test_encoders_share_the_worker_but_no_slice_and_no_budget() -> None:
    one, other = ScriptedEncoder(), ScriptedEncoder()
    async with batching(one) as batcher:
        async with busy(one, batcher):
            texts = {one: "1x20", other: "2x20"}
            bulk = [
                asyncio.ensure_future(batcher.encode([texts[encoder]], Priority.BULK, encoder))
                for encoder in (one, one, other, other, one)
            ]
            await until(lambda: batcher.ready == 5)
            query = asyncio.ensure_future(batcher.encode(["3x5"], Priority.QUERY, other))
            await until(lambda: batcher.ready == 6)
            assert other.slices == []
        await asyncio.gather(*bulk, query)
    assert one.slices[1:] == [[(1, 20), (1, 20)], [(1, 20)]]
    assert other.slices == [[(3, 5)], [(2, 20), (2, 20)]]


@given(
    requests=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(Priority), st.lists(lengths, max_size=5)))
)
@UNSHRUNK
def test_each_encoder_gets_the_texts_that_are_meant_for_it(
    requests: list[tuple[int, Priority, list[int]]],
) -> None:
    encoders = [ScriptedEncoder() for _ in range(3)]

    async def scenario() -> list[Vectors]:
        async with asyncio.timeout(30), batching(encoders[0], workers=2) as batcher:
            return await asyncio.gather(
                *(
                    batcher.encode([f"{which}x{n}" for n in lengths], priority, encoders[which])
                    for which, priority, lengths in requests
                )
            )

    for vectors, (which, _, lengths) in zip(asyncio.run(scenario()), requests, strict=True):
        assert vectors.tolist() == [[which, n] for n in lengths]
    for which, encoder in enumerate(encoders):
        assert set(encoder.numbers()) <= {which}
