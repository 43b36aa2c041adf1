"""Evaluation folders as documents and questions: XQuAD, the chunking evaluation, and the usual form of
retrieval collections, which ``ragp eval`` reads too.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragp.evaluation.folders import read_folder
from ragp.evaluation.questions import Question, Span, TextDocument

BOM = "\ufeff"


@dataclass(frozen=True)
class Folder:
    """What is measured: documents by collection, and questions by direction."""

    documents: dict[str, list[TextDocument]]
    directions: dict[str, list[Question]]

    @property
    def has_spans(self) -> bool:
        return any(question.spans for questions in self.directions.values() for question in questions)


def read(folder: Path) -> Folder:
    """:raises CommandError: it has none of the three forms."""
    if (folder / "xquad.en.json").is_file():
        return read_xquad(folder)
    if (folder / "questions_df.csv").is_file():
        return read_chunking_eval(folder)
    name = "beir"
    collection = read_folder(folder, name)
    return Folder({name: list(collection.documents)}, {name: list(collection.questions)})


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
            _question(question, asked, searched, no)
            for no, found in enumerate(paragraphs[asked])
            for question in found["qas"]
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


def _question(question: dict[str, Any], asked: str, searched: str, paragraph: int) -> Question:
    """The paragraphs of both languages are translations of each other, in the same order."""
    return Question(
        id=question["id"],
        text=question["question"],
        relevant={f"xquad:/{searched}/{paragraph:03}": 1.0},
        language=asked,
        collection=searched,
    )


def read_chunking_eval(folder: Path) -> Folder:
    """Five long documents in one collection; the gold of each question is spans of one of them."""
    documents = [
        TextDocument(f"corpora:/{path.name}", _verbatim(path), media_type="text/markdown")
        for path in sorted((folder / "corpora").glob("*.md"))
    ]
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
