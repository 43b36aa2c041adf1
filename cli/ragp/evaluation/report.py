"""A whole measurement: every set of settings, their comparison, and what was wrong with the questions."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from ragp.client import GatewayClient
from ragp.evaluation.comparing import Comparison, compare
from ragp.evaluation.matching import names_of
from ragp.evaluation.questions import Question
from ragp.evaluation.running import Need, ask_all
from ragp.evaluation.scoring import CUT
from ragp.evaluation.search_settings import SearchSettings
from ragp.evaluation.summary import Run, Summary, summarize


@dataclass(frozen=True, slots=True)
class Report:
    source: str
    """The name of the file or folder with the questions."""
    created_at: str
    """ISO 8601."""
    budget: int
    """Characters of the context that span recall looks at."""
    summaries: Sequence[Summary]
    """The first is what the others are compared with."""
    comparisons: Sequence[Comparison]
    missing: Sequence[str]
    """Expected documents that cannot be found: not in the platform, or not searchable, or misspelt."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    @property
    def complete(self) -> bool:
        """Whether every question has got an answer that says something under every setting."""
        return all(summary.errors == summary.degraded == 0 for summary in self.summaries)


async def measure(
    client: GatewayClient,
    questions: Sequence[Question],
    settings: Sequence[SearchSettings],
    budget: int,
    asked: Callable[[], object] = lambda: None,
) -> list[Run]:
    """Every question under every setting; ``asked`` is called for each.

    :raises CommandError: as :func:`ragp.evaluation.running.ask_all`.
    """
    need = Need(
        documents=CUT if any(each.relevant for each in questions) else 0,
        characters=budget if any(each.spans or each.answers for each in questions) else 0,
    )
    return [
        Run.of(each.fields(), questions, await ask_all(client, questions, each.fields(), need, asked), budget)
        for each in settings
    ]


def report_on(
    source: str,
    created_at: str,
    runs: Sequence[Run],
    settings: Sequence[SearchSettings],
    budget: int,
    missing: Sequence[str],
) -> Report:
    """``runs`` are those of ``settings``, in their order."""
    names = [str(each) for each in settings]
    return Report(
        source=source,
        created_at=created_at,
        budget=budget,
        summaries=[summarize(run, name) for run, name in zip(runs, names, strict=True)],
        comparisons=[
            compare(runs[0], run, (names[0], name)) for run, name in zip(runs[1:], names[1:], strict=True)
        ],
        missing=missing,
    )


async def missing_documents(client: GatewayClient, runs: Sequence[Run]) -> list[str]:
    """The expected documents that are not there to be found: a figure that is low for this reason says
    nothing about retrieval.
    """
    unseen = _not_found(runs)
    missing: set[str] = set()
    for collection in {collection for collection, _ in unseen}:
        names: set[str] = set()
        async for document in client.documents(collection=collection):
            if document["live_generation"] is not None:
                names |= names_of({**document, "document_id": document["id"]})
        missing |= {reference for where, reference in unseen if where == collection} - names
    return sorted(missing)


def _not_found(runs: Sequence[Run]) -> set[tuple[str | None, str]]:
    """Collection and reference of the documents of questions that have not found all of theirs."""
    return {
        (question.collection, reference)
        for run in runs
        for question, scores in zip(run.questions, run.scores, strict=True)
        if scores is not None and scores.get("recall10", 1.0) < 1.0
        for reference in question.relevant
    }
