"""What the models that run on torch have in common."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from rag_embedder.domain import BadModel

DType = Literal["bfloat16", "float32"]

WIDTH_STEP = 8
"""Slices are padded to a multiple of this. The kernels are compiled, and kept, for each shape: measured
after 240 slices of random lengths, the process has 668 MB in place of 854, and is no slower."""

# Processors that multiply bfloat16 in hardware; on others it is emulated, and slower than float32.
_BFLOAT16_CAPABILITIES = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")


def device() -> Literal["cuda", "cpu"]:
    """The GPU, where this build of torch sees one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def fastest_dtype() -> DType:
    """The number type that this processor encodes fastest with."""
    if device() == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    capabilities = torch.cpu.get_capabilities()
    return "bfloat16" if any(capabilities.get(name) for name in _BFLOAT16_CAPABILITIES) else "float32"


def verify_weights(directory: Path, sha256: str) -> None:
    """:raises BadModel: ``model.safetensors`` is missing or has another SHA-256."""
    weights = directory / "model.safetensors"
    if not weights.is_file():
        raise BadModel(f"there are no weights at {weights}")
    with weights.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != sha256:
        raise BadModel(f"{weights} has SHA-256 {actual}, not {sha256}: it is damaged or another model")


def padded(
    batch: Sequence[Sequence[int]], pad_id: int, **others: Sequence[Sequence[int]]
) -> dict[str, torch.Tensor]:
    """``input_ids``, their ``attention_mask``, and ``others`` padded with zeros, where the model is."""
    longest = max(len(tokens) for tokens in batch)
    width = -(-longest // WIDTH_STEP) * WIDTH_STEP
    rows = {
        "input_ids": _matrix(batch, width, pad_id),
        "attention_mask": _matrix([[1] * len(tokens) for tokens in batch], width, 0),
        **{name: _matrix(values, width, 0) for name, values in others.items()},
    }
    return {name: torch.from_numpy(matrix).to(device()) for name, matrix in rows.items()}


def _matrix(
    rows: Sequence[Sequence[int]], width: int, filler: int
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    matrix = np.full((len(rows), width), filler, dtype=np.int64)
    for row, values in enumerate(rows):
        matrix[row, : len(values)] = values
    return matrix
