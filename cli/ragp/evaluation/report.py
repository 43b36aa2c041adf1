"""A whole measurement: every set of settings, their comparison, and what was wrong with the questions."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from ragp.client import GatewayClient
from ragp.evaluation.comparing import Comparison, compare
from ragp.evaluation.matching import names_of
from ragp.evaluation.questions import Question
from ragp.evaluation.running import Need, ask_all
from ragp.evaluation.scoring import CUT
from ragp.evaluation.search_settings import SearchSettings
from ragp.evaluation.summary import Run, Summary, summarize


@dataclass(frozen=True, slots=True)
class References:
    """What is wrong with how questions refer to documents."""

    missing: Sequence[str] = ()
    """Expected documents that cannot be found: not in the platform, or not searchable, or misspelt."""
    ambiguous: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """References that several documents answer to, so that any of them counts as found; with the
    ``source_uri`` of each."""


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
    """As of :class:`References`."""
    ambiguous: Mapping[str, Sequence[str]]
    """As of :class:`References`."""

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
    references: References,
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
        missing=references.missing,
        ambiguous=references.ambiguous,
    )


async def check_references(client: GatewayClient, runs: Sequence[Run]) -> References:
    """Look the expected documents up among those that are searchable: where one is not there, or several
    have its name, a figure says nothing about retrieval.
    """
    expected: defaultdict[str | None, set[str]] = defaultdict(set)
    for question in (question for run in runs for question in run.questions):
        expected[question.collection].update(question.relevant)
    unseen = _not_found(runs)
    missing: set[str] = set()
    ambiguous: defaultdict[str, set[str]] = defaultdict(set)
    for collection, references in expected.items():
        if not references:
            continue
        named = await _documents_by_name(client, collection, references)
        missing |= {each for where, each in unseen if where == collection and not named[each]}
        for each in references:
            if len(named[each]) > 1:
                ambiguous[each].update(named[each].values())
    return References(sorted(missing), {each: sorted(ambiguous[each]) for each in sorted(ambiguous)})


async def _documents_by_name(
    client: GatewayClient, collection: str | None, names: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Name → id → ``source_uri`` of the searchable documents that the name can mean."""
    named: dict[str, dict[str, str]] = {name: {} for name in names}
    async for document in client.documents(collection=collection):
        if document["live_generation"] is not None:
            for name in names_of({**document, "document_id": document["id"]}) & named.keys():
                named[name][document["id"]] = document["source_uri"]
    return named


def _not_found(runs: Sequence[Run]) -> set[tuple[str | None, str]]:
    """Collection and reference of the documents of questions that have not found all of theirs."""
    return {
        (question.collection, reference)
        for run in runs
        for question, scores in zip(run.questions, run.scores, strict=True)
        if scores is not None and scores.get("recall10", 1.0) < 1.0
        for reference in question.relevant
    }
