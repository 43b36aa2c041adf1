"""Single questions in a report: those without a complete answer, and those answered worst."""

from collections.abc import Sequence
from dataclasses import dataclass

from ragp.evaluation.matching import found_documents
from ragp.evaluation.questions import Question
from ragp.evaluation.running import Reply

_SHOWN_PASSAGES = 5
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Returned:
    """A passage that came back: ``expected`` where it is of an expected document."""

    title: str
    source_uri: str
    score: float
    text: str
    expected: bool


@dataclass(frozen=True, slots=True)
class WorstQuestion:
    id: str
    question: str
    language: str | None
    collection: str | None
    value: float
    """Of the first metric."""
    expected: Sequence[str]
    returned: Sequence[Returned]


@dataclass(frozen=True, slots=True)
class Problem:
    """A question that is in no figure: it got no answer (``error``), or less than was asked for
    (``degraded``).
    """

    id: str
    question: str
    kind: str
    reason: str


def problems_of(questions: Sequence[Question], replies: Sequence[Reply]) -> list[Problem]:
    """The questions that cannot be scored, in their order."""
    problems = []
    for question, reply in zip(questions, replies, strict=True):
        if reply.error is not None:
            problems.append(Problem(question.id, question.text, "error", reply.error))
        elif reply.degraded is not None:
            problems.append(Problem(question.id, question.text, "degraded", reply.degraded))
    return problems


def worst_question(value: float, question: Question, reply: Reply) -> WorstQuestion:
    """The question with what was expected and what came back instead."""
    references = list(question.relevant)
    returned = [
        Returned(
            title=passage["title"],
            source_uri=passage["source_uri"],
            score=passage["score"],
            text=" ".join(passage["text"].split())[:_SHOWN_CHARACTERS],
            expected=any(found_documents([passage], references)),
        )
        for passage in reply.passages[:_SHOWN_PASSAGES]
    ]
    expected = [*references, *(f"“{answer}”" for answer in question.answers)]
    return WorstQuestion(
        question.id, question.text, question.language, question.collection, value, expected, returned
    )
