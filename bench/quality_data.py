"""Evaluation folders as documents and questions: XQuAD, the chunking evaluation, and the usual form of
retrieval collections, which ``ragp eval`` reads too.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragp.evaluation.questions import Question, Span, TextDocument

BOM = "\ufeff"


@dataclass(frozen=True)
class Folder:
    """What is measured: documents by collection, and questions by direction."""

    documents: dict[str, list[TextDocument]]
    directions: dict[str, list[Question]]

    def text(self, source_uri: str) -> str:
        """:raises StopIteration: there is no such document."""
        return next(
            document.text
            for documents in self.documents.values()
            for document in documents
            if document.source_uri == source_uri
        )


def read_xquad(folder: Path) -> Folder:
    """Every paragraph is a document of the collection of its language. Each direction is asked in one
    language and searched in one: ``en_ru`` are English questions on Russian text.
    """
    paragraphs = {language: _paragraphs(folder / f"xquad.{language}.json") for language in ("en", "ru")}
    documents = {
        language: [TextDocument(f"xquad:/{language}/{no:03}", _text(found)) for no, found in enumerate(all_)]
        for language, all_ in paragraphs.items()
    }
    directions = {
        asked if asked == searched else f"{asked}_{searched}": [
            _question(asked, searched, no, *pair)
            for no, found in enumerate(paragraphs[asked])
            for pair in zip(found["qas"], paragraphs[searched][no]["qas"], strict=True)
        ]
        for asked, searched in (("en", "en"), ("ru", "ru"), ("en", "ru"), ("ru", "en"))
    }
    return Folder(documents, directions)


def _paragraphs(file: Path) -> list[dict[str, Any]]:
    articles = json.loads(file.read_text(encoding="utf-8"))["data"]
    return [paragraph for article in articles for paragraph in article["paragraphs"]]


def _text(paragraph: dict[str, Any]) -> str:
    # A mark at the beginning of a text is no part of it, and is not counted in offsets.
    return str(paragraph["context"]).removeprefix(BOM)


def _question(
    asked: str, searched: str, paragraph: int, question: dict[str, Any], translated: dict[str, Any]
) -> Question:
    assert question["id"] == translated["id"]
    return Question(
        id=question["id"],
        text=question["question"],
        relevant={f"xquad:/{searched}/{paragraph:03}": 1.0},
        language=asked,
        collection=searched,
    )


def read_chunking_eval(folder: Path) -> Folder:
    """Five long documents in one collection; the gold of each question is spans of one of them."""
    corpora = sorted((folder / "corpora").glob("*.md"))
    documents = [TextDocument(f"corpora:/{path.name}", _verbatim(path)) for path in corpora]
    with open(folder / "questions_df.csv", encoding="utf-8", newline="") as file:
        questions = [_spans_question(no, row) for no, row in enumerate(csv.DictReader(file))]
    return Folder({"chunking": documents}, {"chunking": questions})


def _verbatim(path: Path) -> str:
    # The gold counts every character: no line ending may be translated.
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def _spans_question(no: int, row: dict[str, str]) -> Question:
    document = f"corpora:/{row['corpus_id']}.md"
    spans = tuple(
        Span(document, reference["start_index"], reference["end_index"])
        for reference in json.loads(row["references"])
    )
    return Question(id=str(no), text=row["question"], spans=spans, collection="chunking")


def every(step: int, questions: Sequence[Question]) -> list[Question]:
    """A smaller set, spread evenly over the whole."""
    return list(questions[::step])
