"""The real model: MiniLM from its wheel, loaded once for each number type."""

import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from rag_common.spaces import MINILM
from rag_embedder.adapters.models import LoadedModels
from rag_embedder.adapters.parallelism import Parallelism, best_parallelism
from rag_embedder.adapters.sentence_transformers import (
    MINILM_SHA256,
    SentenceTransformerEncoder,
    bundled_minilm,
)
from rag_embedder.adapters.torch_models import fastest_dtype, verify_weights
from rag_embedder.app import load_models
from rag_embedder.domain import (
    BadModel,
    Embedder,
    MicroBatcher,
    Priority,
    SliceBudget,
    SpaceModel,
    Vectors,
)
from rag_embedder.settings import EmbedderSettings

TEXTS = [
    "How many days of holiday does an employee have?",
    "",
    "   leading and trailing space, and\ttabs\n",
    "Сколько дней отпуска положено сотруднику?",
    "emoji 🦊 and a word that nobody has ever seen: frobnicatorium",
    "word " * 1000,
    *("The storage room is on floor " + "number " * n for n in range(40)),
]


@pytest.fixture(scope="module")
def reference() -> Vectors:
    """What ``SentenceTransformer.encode`` gives in float32."""
    model = SentenceTransformer(str(bundled_minilm()), device="cpu", local_files_only=True)
    return np.asarray(model.encode(TEXTS, batch_size=32, normalize_embeddings=True))


@pytest.fixture(scope="module")
def encoder() -> Iterator[SentenceTransformerEncoder]:
    """In float32, loaded while every connection is refused: nothing comes from a model hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _no_network)
        yield SentenceTransformerEncoder(bundled_minilm(), dtype="float32", threads=1)


def _no_network(*_: object) -> None:
    raise AssertionError("the model must be loaded without the network")


def cosines(ours: Vectors, theirs: Vectors) -> Vectors:
    return (ours * theirs).sum(axis=1)


def encode_all(encoder: SentenceTransformerEncoder, texts: Sequence[str]) -> Vectors:
    return encoder.encode(encoder.tokenize(texts))


def test_float32_vectors_are_those_of_the_library(
    encoder: SentenceTransformerEncoder, reference: Vectors
) -> None:
    vectors = encode_all(encoder, TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert cosines(vectors, reference).min() >= 0.9999


def test_bfloat16_vectors_are_close(reference: Vectors) -> None:
    encoder = SentenceTransformerEncoder(bundled_minilm(), dtype="bfloat16", threads=1)
    vectors = encode_all(encoder, TEXTS)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert cosines(vectors, reference).min() >= 0.999


def test_a_text_has_the_same_vector_alone_and_in_company(
    encoder: SentenceTransformerEncoder, reference: Vectors
) -> None:
    alone = np.concatenate([encode_all(encoder, [text]) for text in TEXTS[:10]])
    assert cosines(alone, reference[:10]).min() >= 0.9999


def test_a_long_text_is_cut_at_the_limit_of_the_model(encoder: SentenceTransformerEncoder) -> None:
    [tokens] = encoder.tokenize(["word " * 1000])
    assert len(tokens) == 256


async def test_several_threads_give_the_same_vectors(
    encoder: SentenceTransformerEncoder, reference: Vectors
) -> None:
    tokens = encoder.tokenize(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda ids: encoder.encode([ids])[0], tokens))
    assert cosines(np.stack(rows), reference).min() >= 0.9999


class _NoMeter:
    def waited(self, priority: Priority, seconds: float) -> None: ...

    def encoded(self, priority: Priority, texts: int, tokens: int, seconds: float) -> None: ...


async def test_merged_and_cut_texts_keep_their_vectors(
    encoder: SentenceTransformerEncoder, reference: Vectors
) -> None:
    model, budget = SpaceModel(MINILM, encoder), partial(SliceBudget, 300, 0.1)
    async with MicroBatcher(new_budget=budget, meter=_NoMeter(), workers=2) as batcher:
        vectors = await Embedder([model], batcher).passages(MINILM.name, TEXTS, Priority.BULK)
    assert cosines(vectors, reference).min() >= 0.9999


def test_the_weights_of_the_wheel_are_the_published_ones() -> None:
    verify_weights(bundled_minilm(), MINILM_SHA256)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(BadModel, match="SHA-256"):
        verify_weights(tmp_path, MINILM_SHA256)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="no weights"):
        verify_weights(tmp_path, MINILM_SHA256)


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="cannot load"):
        SentenceTransformerEncoder(tmp_path / "nothing", dtype="float32", threads=1)


def test_the_processor_decides_the_number_type() -> None:
    assert fastest_dtype() in {"bfloat16", "float32"}


@pytest.mark.parametrize(
    ("cores", "workers", "expected"),
    [
        (1, None, Parallelism(1, 1)),
        (2, None, Parallelism(2, 1)),
        (32, None, Parallelism(4, 8)),
        (2, 1, Parallelism(1, 2)),
        (2, 8, Parallelism(8, 1)),
    ],
)
def test_the_cores_are_shared_between_the_workers(
    cores: int, workers: int | None, expected: Parallelism
) -> None:
    assert best_parallelism(workers, cores=cores) == expected


def test_the_settings_load_the_model_of_the_wheel() -> None:
    loaded: LoadedModels = load_models(EmbedderSettings(encoder_workers=1))
    [model] = loaded.spaces
    assert (model.space, model.encoder.dimension, loaded.workers) == (MINILM, 384, 1)
    assert loaded.reranker is None


def minilm_from(path: Path, **fields: Any) -> dict[str, Any]:
    return {"models": {MINILM.name: {"path": path, **fields}}}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (minilm_from(bundled_minilm(), sha256="0" * 64), "SHA-256"),
        (minilm_from(Path("/nonexistent")), "cannot load"),
        (minilm_from(Path("/nonexistent"), sha256="0" * 64), "no weights"),
        ({"spaces": ("bge-m3",)}, "RAG_MODELS"),
        ({"spaces": ("bge-m3",), "models": {"bge-m3": {"path": bundled_minilm()}}}, "384 dimensions"),
        ({"reranker": "none", "reranker_path": "/nonexistent"}, "cannot load the cross-encoder"),
    ],
)
def test_a_wrong_model_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadModel, match=problem):
        load_models(EmbedderSettings(**settings))
