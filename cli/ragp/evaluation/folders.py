"""Folders in the usual form of retrieval collections, that of BEIR: ``corpus.jsonl``, ``queries.jsonl``,
``qrels.tsv`` or ``qrels/test.tsv``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from rag_common.contracts import Question as QuestionText
from ragp.errors import CommandError
from ragp.evaluation.lines import checked, json_lines, read_text
from ragp.evaluation.questions import Question, TextDocument

_JUDGEMENTS = ("qrels.tsv", "qrels/test.tsv")
_LONGEST_TITLE = 2000

Identity = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class _Document(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: Identity = Field(alias="_id")
    title: str | None = None
    text: str


class _Query(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: Identity = Field(alias="_id")
    text: QuestionText


@dataclass(frozen=True, slots=True)
class RetrievalCollection:
    documents: tuple[TextDocument, ...]
    questions: tuple[Question, ...]
    unjudged: int
    """Queries that no document is relevant to; they are left out, as is usual."""
    empty: int
    """Documents without any text; they are left out."""


def read_folder(folder: Path, collection: str) -> RetrievalCollection:
    """The documents and the judged queries, to be searched in ``collection``.

    :raises CommandError: a file is missing, or naming the line that is wrong.
    """
    judgements = next((folder / name for name in _JUDGEMENTS if (folder / name).is_file()), None)
    if judgements is None:
        raise CommandError(
            f"{folder} holds no qrels.tsv",
            cure="a retrieval collection has it, corpus.jsonl and queries.jsonl",
        )
    relevant = _read_judgements(judgements)
    queries = [checked(_Query, line, where) for where, line in json_lines(folder / "queries.jsonl")]
    questions = tuple(
        Question(id=query.id, text=query.text, relevant=relevant[query.id], collection=collection)
        for query in queries
        if query.id in relevant
    )
    if not questions:
        raise CommandError(f"{judgements} judges no query of {folder / 'queries.jsonl'}")
    documents = [_text_document(document) for document in _read_corpus(folder / "corpus.jsonl")]
    full = tuple(document for document in documents if document.text.strip())
    return RetrievalCollection(
        full, questions, unjudged=len(queries) - len(questions), empty=len(documents) - len(full)
    )


def _source_uri(identity: str) -> str:
    return "corpus:/" + quote(identity, safe="")


def _read_corpus(path: Path) -> Iterator[_Document]:
    for where, line in json_lines(path):
        yield checked(_Document, line, where)


def _text_document(document: _Document) -> TextDocument:
    title = " ".join((document.title or "").split())[:_LONGEST_TITLE]
    # Some collections have documents that are a title and nothing else.
    return TextDocument(
        _source_uri(document.id), (document.text.strip() and document.text) or title, title or None
    )


def _read_judgements(path: Path) -> dict[str, dict[str, float]]:
    """Query → ``source_uri`` → relevance, of what is relevant: three columns with or without a header, or
    the four of TREC.
    """
    relevant: dict[str, dict[str, float]] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.strip("\r").split("\t") if "\t" in line else line.split()
        if len(fields) not in (3, 4):
            raise CommandError(f"{path}, line {number} does not have the columns query, document, relevance")
        query, document, relevance = fields[0], fields[-2], fields[-1]
        try:
            grade = float(relevance)
        except ValueError as error:
            if number == 1:
                continue  # the header
            raise CommandError(f"{path}, line {number}: the relevance {relevance!r} is no number") from error
        if grade > 0:
            relevant.setdefault(query, {})[_source_uri(document)] = grade
    return relevant
