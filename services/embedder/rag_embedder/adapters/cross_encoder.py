"""A cross-encoder of sentence-transformers: reads question and passage together, gives one score."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from sentence_transformers import CrossEncoder
from transformers.utils import logging as transformers_logging

from rag_embedder.adapters.torch_models import DType, device, padded
from rag_embedder.domain import BadModel, Vectors


@dataclass(frozen=True, slots=True)
class PairTokens:
    """Token ids of question and passage, and for each whether it is the passage's (1) or not (0)."""

    ids: Sequence[int]
    types: Sequence[int]

    def __len__(self) -> int:
        return len(self.ids)


class CrossEncoderScorer:
    """Scores as ``CrossEncoder.predict`` gives them, up to the rounding of the number type.

    To the micro-batcher it is an encoder of pairs with one dimension.
    """

    dimension = 1

    def __init__(self, directory: Path, *, dtype: DType, threads: int) -> None:
        """Load the model; takes seconds. ``threads`` is set for the whole process.

        :raises BadModel: the directory holds no cross-encoder that classifies pairs by one score.
        """
        torch.set_num_threads(threads)
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # not annotated
        try:
            self._model = CrossEncoder(
                str(directory),
                device=device(),
                local_files_only=True,
                model_kwargs={"dtype": getattr(torch, dtype)},
            )
        except (OSError, ValueError, KeyError) as error:
            raise BadModel(f"cannot load the cross-encoder in {directory}: {error}") from error
        self._tokenizer = self._model.tokenizer
        # Language models that say "yes" or "no" pad on the left and take a prompt: they are not for here.
        if self._model.num_labels != 1 or self._tokenizer.padding_side != "right":
            raise BadModel(f"the model in {directory} does not score a pair by one number")
        self._pad_id = self._tokenizer.pad_token_id or 0
        self._takes_types = "token_type_ids" in self._tokenizer.model_input_names
        self._model.eval()

    def tokenize(self, texts: Sequence[tuple[str, str]]) -> Sequence[PairTokens]:
        """Of pairs (question, passage); where both are too long together, the longer one is cut.

        Not thread-safe: the tokenizer keeps its settings for truncation in itself.
        """
        encoded = self._tokenizer(
            [question for question, _ in texts],
            [passage for _, passage in texts],
            truncation="longest_first",
            max_length=self._model.max_seq_length,
            return_attention_mask=False,
            return_token_type_ids=True,
        )
        return [*map(PairTokens, encoded["input_ids"], encoded["token_type_ids"])]

    def encode(self, batch: Sequence[PairTokens]) -> Vectors:
        """Thread-safe."""
        others = {"token_type_ids": [pair.types for pair in batch]} if self._takes_types else {}
        with torch.inference_mode():
            scores = self._model.forward(padded([pair.ids for pair in batch], self._pad_id, **others))[
                "scores"
            ]
            activated = self._model.activation_fn(scores.float()).reshape(len(batch), 1)
            return cast(Vectors, activated.cpu().numpy())
