"""A cross-encoder, built here with random weights: its scores are those of the library."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from rag_embedder.adapters.cross_encoder import CrossEncoderScorer
from rag_embedder.app import load_models
from rag_embedder.domain import BadModel, MicroBatcher, Priority, Reranker, SliceBudget
from rag_embedder.settings import EmbedderSettings

WINDOW = 48
WORDS = [
    "how",
    "many",
    "days",
    "of",
    "holiday",
    "red",
    "blue",
    "keys",
    "the",
    "a",
    "floor",
    "is",
    "on",
    "сколько",
    "дней",
    "отпуска",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
QUESTION = "how many days of holiday"
TEXTS = (
    "the holiday is 28 days",
    "",
    "red keys " * 40,
    "сколько дней отпуска",
    "a text that is longer than the others, but not too long: the blue keys are on the floor",
)


def build(directory: Path, *, labels: int = 1, types: bool = True) -> Path:
    """A tiny BERT that classifies pairs, with its tokenizer; the same at every call."""
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=WINDOW,
        model_input_names=names if types else [names[0], names[2]],
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(directory)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=WINDOW,
        initializer_range=0.5,
        num_labels=labels,
    )
    torch.manual_seed(7)
    BertForSequenceClassification(config).save_pretrained(directory)
    return directory


class _NoMeter:
    def waited(self, priority: Priority, seconds: float) -> None: ...

    def encoded(self, priority: Priority, texts: int, tokens: int, seconds: float) -> None: ...


@pytest.mark.parametrize("types", [True, False])
async def test_scores_are_those_of_the_library(tmp_path: Path, types: bool) -> None:
    directory = build(tmp_path, types=types)
    expected = CrossEncoder(str(directory), device="cpu").predict([(QUESTION, text) for text in TEXTS])
    settings = EmbedderSettings(reranker="tiny", reranker_path=directory, dtype="float32", encoder_workers=2)
    scorer = load_models(settings).reranker
    assert scorer is not None
    async with MicroBatcher(new_budget=lambda: SliceBudget(64, 0.1), meter=_NoMeter(), workers=2) as batcher:
        scores = await Reranker("tiny", scorer, batcher).scores("tiny", QUESTION, TEXTS)
    assert scores == pytest.approx(expected.tolist(), abs=1e-5)
    assert np.ptp(expected) > 0.05


def test_a_pair_is_cut_to_the_window_and_the_question_survives(tmp_path: Path) -> None:
    scorer = CrossEncoderScorer(build(tmp_path), dtype="float32", threads=1)
    [pair] = scorer.tokenize([(QUESTION, "red keys " * 400)])
    assert len(pair) == WINDOW
    words = len(QUESTION.split())
    assert list(pair.types) == [0] * (words + 2) + [1] * (WINDOW - words - 2)


def test_a_classifier_of_several_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="one number"):
        CrossEncoderScorer(build(tmp_path, labels=3), dtype="float32", threads=1)
