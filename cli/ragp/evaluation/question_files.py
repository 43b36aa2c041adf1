"""Question files: JSON Lines and CSV. The format is described in docs/evaluation.md."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from rag_common.contracts import CollectionName
from rag_common.contracts import Question as QuestionText
from ragp.errors import CommandError
from ragp.evaluation.lines import checked, json_lines, read_text
from ragp.evaluation.questions import Question, Span

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Relevance = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Located = tuple[str, Any]
"""Where something stands, for messages, and what stands there."""

_OF_THE_QUESTION = ("id", "question", "language", "collection")
_COLUMNS = (*_OF_THE_QUESTION, "document", "relevance", "start", "end", "answer")


def _equally_relevant(documents: object) -> object:
    """A list of documents as a mapping."""
    if isinstance(documents, list) and all(isinstance(document, str) for document in documents):
        return dict.fromkeys(documents, 1.0)
    return documents


class _Form(BaseModel):
    """A misspelt field is an error, not silently nothing."""

    model_config = ConfigDict(extra="forbid")


class _SpanForm(_Form):
    document: Text
    start: int = Field(ge=0)
    end: int

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"a span must end after it begins, not at {self.end}")
        return self


class _QuestionForm(_Form):
    id: Text | None = None
    question: QuestionText
    documents: Annotated[dict[Text, Relevance], BeforeValidator(_equally_relevant)] = {}
    spans: list[_SpanForm] = []
    answers: list[Text] = []
    language: Text | None = None
    collection: CollectionName | None = None

    @model_validator(mode="after")
    def _something_is_expected(self) -> Self:
        if not (self.documents or self.spans or self.answers):
            raise ValueError("nothing is expected: name a document, a span or an answer")
        return self


def read_questions(path: Path) -> list[Question]:
    """The questions of a CSV file (by its suffix), else of JSON Lines.

    :raises CommandError: naming the line that is wrong.
    """
    located = _csv_questions(path) if path.suffix.lower() == ".csv" else json_lines(path)
    questions: dict[str, Question] = {}
    for where, content in located:
        question = _question(checked(_QuestionForm, content, where), str(len(questions) + 1))
        if question.id in questions:
            raise CommandError(f"{where}: another question has the id {question.id}")
        questions[question.id] = question
    if not questions:
        raise CommandError(f"{path} holds no questions")
    return list(questions.values())


def _question(form: _QuestionForm, number: str) -> Question:
    spans = tuple(Span(span.document, span.start, span.end) for span in form.spans)
    return Question(
        id=form.id or number,
        text=form.question,
        # Where only spans are given, their documents are the expected ones.
        relevant=form.documents or {span.document: 1.0 for span in spans},
        spans=spans,
        answers=tuple(form.answers),
        language=form.language,
        collection=form.collection,
    )


def _csv_questions(path: Path) -> Iterator[Located]:
    """Each question in the form of a line of JSON: rows with the same id belong together, each with one
    document, span or answer.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    unknown = [name for name in reader.fieldnames or () if name not in _COLUMNS]
    if unknown:
        raise CommandError(
            f"{path} has a column {unknown[0]!r}", cure=f"the columns are {', '.join(_COLUMNS)}"
        )
    questions: dict[str, Located] = {}
    for number, row in enumerate(reader, start=1):
        where = f"{path}, row {number}"
        if None in row:
            raise CommandError(f"{where} has more fields than the header", cure="put quotes around commas")
        given = {name: value for name, value in row.items() if value and value.strip()}
        whole = {
            name: given.pop(name) for name in ("id", "question", "language", "collection") if name in given
        }
        first_where, question = questions.setdefault(
            whole.get("id", where), (where, {**whole, "documents": {}, "spans": [], "answers": []})
        )
        if any(question.get(name) != value for name, value in whole.items()):
            raise CommandError(f"{where} differs from {first_where}, which has the same id")
        _add_row(question, given)
    yield from questions.values()


def _add_row(question: dict[str, Any], row: dict[str, str]) -> None:
    if "answer" in row:
        question["answers"].append(row["answer"])
    if "start" in row or "end" in row:
        question["spans"].append({name: row[name] for name in ("document", "start", "end") if name in row})
    if "document" in row:
        question["documents"][row["document"]] = row.get("relevance", 1.0)
