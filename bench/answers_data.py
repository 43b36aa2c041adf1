"""XQuAD as documents that know their article, and questions with the words that answer them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOM = "\ufeff"
LANGUAGES = ("en", "ru")


@dataclass(frozen=True)
class AnswerQuestion:
    """A question about an article, by its number; ``gold``: spellings of the answer."""

    text: str
    language: str
    article: int
    gold: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """``documents``: bodies for ``POST /v1/documents``, in the collection of their language."""

    documents: list[dict[str, Any]]
    questions: list[AnswerQuestion]


def read(folder: Path) -> Corpus:
    corpus = Corpus([], [])
    for language in LANGUAGES:
        articles = json.loads((folder / f"xquad.{language}.json").read_text(encoding="utf-8"))["data"]
        for number, article in enumerate(articles):
            for no, paragraph in enumerate(article["paragraphs"]):
                corpus.documents.append(_document(language, number, no, paragraph["context"]))
                corpus.questions.extend(_question(language, number, asked) for asked in paragraph["qas"])
    return corpus


def _document(language: str, article: int, no: int, text: str) -> dict[str, Any]:
    return {
        "collection": language,
        "source_uri": f"xquad:/{language}/{article:02}/{no}",
        "text": text.removeprefix(BOM),
        "media_type": "text/plain",
        "metadata": {"article": article},
    }


def _question(language: str, article: int, asked: dict[str, Any]) -> AnswerQuestion:
    gold = tuple(answer["text"] for answer in asked["answers"])
    return AnswerQuestion(asked["question"].strip(), language, article, gold)
