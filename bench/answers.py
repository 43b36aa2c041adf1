"""How good answers without a language model are, asked through the API: whether the quotes hold the answer,
and whether questions that the documents cannot answer are refused.

FOLDER is XQuAD (xquad.en.json, xquad.ru.json). Each question is asked of the collection of its language, and
then of all of it but the question's own article. The curve of refusals is that of the evidence which the
generator sees; the thresholds in use are in ``rag_generator.domain.relevance``, and ``docs/answers.md`` says
how they were chosen.

With ``--model``, or without a folder, a real language model is measured instead: see ``generation.py``.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import answers_data
import generation
from answers_data import AnswerQuestion
from harness import TOPOLOGY, Bench, percentile, say, started
from nats.aio.msg import Msg

from rag_common.contracts import GenerateAnswer
from rag_generator.domain.relevance import Evidence, strongest_evidence
from ragp.client import GatewayClient
from ragp.target import Gateway

AT_ONCE = 4
QUICK_STEP = 10
"""Of so many questions one is asked."""
FALSE_REFUSALS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08)
CHOSEN_AT = 0.03
"""Share of false refusals at which a threshold is chosen for cross-validation."""


@dataclass(slots=True)
class Asked:
    """One asking: the answer of the API, and what the generator was sent."""

    question: AnswerQuestion
    answerable: bool
    answer: dict[str, Any] = field(default_factory=dict)
    evidence: Evidence | None = None
    passages: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def contained(self) -> bool:
        return any(
            gold in cited["quote"] for gold in self.question.gold for cited in self.answer["citations"]
        )

    @property
    def in_passages(self) -> bool:
        return any(gold in text for gold in self.question.gold for text in self.passages)


async def main(folder: Path, space: str | None, quick: bool) -> dict[str, Any]:
    corpus = answers_data.read(folder)
    questions = corpus.questions[::QUICK_STEP] if quick else corpus.questions
    figures: dict[str, Any] = {}
    async with (
        started(space=space) as bench,
        GatewayClient(Gateway(bench.stack.url, bench.stack.api_key)) as client,
    ):
        await upload(client, corpus.documents)
        await bench.wait_live(len(corpus.documents))
        say(f"{len(corpus.documents)} documents are searchable")
        for asked_in, searched in _directions(space):
            own = in_direction(questions, asked_in, searched)
            name = asked_in if asked_in == searched else f"{asked_in}_{searched}"
            figures |= report(name, await ask_all(bench, client, own, searched))
    return figures


def in_direction(questions: Sequence[AnswerQuestion], asked_in: str, searched: str) -> list[AnswerQuestion]:
    """Questions of one language with the gold of the other: both have the same ones in the same order."""
    asked = [question for question in questions if question.language == asked_in]
    gold = [question.gold for question in questions if question.language == searched]
    return [replace(question, gold=own) for question, own in zip(asked, gold, strict=True)]


def _directions(space: str | None) -> list[tuple[str, str]]:
    """Across languages only with a model that reads several."""
    within = [(language, language) for language in answers_data.LANGUAGES]
    return within if space is None else [*within, ("en", "ru"), ("ru", "en")]


async def upload(client: GatewayClient, documents: Sequence[dict[str, Any]]) -> None:
    for collection in {document["collection"] for document in documents}:
        await client.ensure_collection(collection)
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(document: dict[str, Any]) -> None:
        async with turns:
            await client.upload_text(document)

    await asyncio.gather(*map(one, documents))


async def ask_all(
    bench: Bench, client: GatewayClient, questions: Sequence[AnswerQuestion], collection: str
) -> list[Asked]:
    """Each question of all documents of a collection, then of those that are not of its article."""
    asked: list[Asked] = []
    for answerable in (True, False):
        asked += await _pass(bench, client, questions, collection, answerable)
    return asked


async def _pass(
    bench: Bench,
    client: GatewayClient,
    questions: Sequence[AnswerQuestion],
    collection: str,
    answerable: bool,
) -> list[Asked]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(question: AnswerQuestion) -> Asked:
        asked = Asked(question, answerable)
        body: dict[str, Any] = {"question": question.text, "collections": [collection], "cache": False}
        if not answerable:
            own = {"op": "eq", "field": "article", "value": question.article}
            body["filter"] = {"op": "not", "filter": own}
        async with turns:
            began = time.perf_counter()
            asked.answer = await client.post_question(body)
            asked.seconds = time.perf_counter() - began
        if asked.answer["degraded"]:
            raise RuntimeError(f"{question.text}: the answer is degraded: {asked.answer['reason']}")
        return asked

    async with overheard(bench) as commands:
        all_asked = await asyncio.gather(*map(one, questions))
    for asked in all_asked:
        # the same question about two articles is told apart by nothing but its passages: both see the last
        command = commands[asked.question.text]
        asked.evidence = strongest_evidence(command.standalone, command.found)
        asked.passages = [passage.text for passage in command.found.passages]
    return all_asked


@asynccontextmanager
async def overheard(bench: Bench) -> AsyncIterator[dict[str, GenerateAnswer]]:
    """What the retriever sends to the generator meanwhile, by question."""
    commands: dict[str, GenerateAnswer] = {}

    async def note(message: Msg) -> None:
        command = GenerateAnswer.decode(message.data)
        commands[command.question] = command

    subscription = await bench.nats.subscribe(TOPOLOGY.subject(GenerateAnswer), cb=note)
    await bench.nats.flush()
    try:
        yield commands
        await bench.nats.flush()
    finally:
        await subscription.unsubscribe()


def report(name: str, asked: Sequence[Asked]) -> dict[str, Any]:
    """The figures of one direction; the curve is told."""
    answerable = [one for one in asked if one.answerable]
    unanswerable = [one for one in asked if not one.answerable]
    figures = {
        "contained": _share([one.contained for one in answerable]),
        "ceiling": _share([one.in_passages for one in answerable]),
        "refused": _share([not one.answer["answered"] for one in unanswerable]),
        "false_refusals": _share([not one.answer["answered"] for one in answerable]),
    }
    milliseconds = [one.answer["timings_ms"].get("first_token", 0.0) for one in answerable]
    quotes = Counter(len(one.answer["citations"]) for one in answerable if one.answer["answered"])
    say(
        f"{name}: {len(answerable)} questions; {figures}; quotes in an answer: {dict(sorted(quotes.items()))}"
    )
    say(
        f"{name}: from the passages to the answer {percentile(milliseconds, 50):.1f} ms, p95"
        f" {percentile(milliseconds, 95):.1f} ms; from the request to the answer"
        f" {statistics.median(one.seconds for one in answerable) * 1000:.0f} ms with {AT_ONCE} at once"
    )
    tell_curve(name, answerable, unanswerable)
    return {f"{name}_{key}": value for key, value in figures.items()}


def tell_curve(name: str, answerable: Sequence[Asked], unanswerable: Sequence[Asked]) -> None:
    """Evidence is told as its margin over the threshold in use."""
    kinds = Counter(one.evidence.kind if one.evidence else None for one in (*answerable, *unanswerable))
    say(f"{name}: thresholds {_thresholds((*answerable, *unanswerable))}, by signals: {dict(kinds)}")
    for share in FALSE_REFUSALS:
        margin = _margin_at(answerable, share)
        say(
            f"{name}: at margin {margin:+.2f}: {_refused(answerable, margin):.3f} false refusals,"
            f" {_refused(unanswerable, margin):.3f} refused"
        )
    for half in (0, 1):
        margin = _margin_at([one for one in answerable if one.question.article % 2 != half], CHOSEN_AT)
        rest = [one for one in answerable if one.question.article % 2 == half]
        other = [one for one in unanswerable if one.question.article % 2 == half]
        say(
            f"{name}: chosen at {CHOSEN_AT:.0%} on half of the articles ({margin:+.2f}), on the other half:"
            f" {_refused(rest, margin):.3f} false refusals, {_refused(other, margin):.3f} refused"
        )


def _margin(one: Asked) -> float:
    """Nothing known is never refused; nothing found always."""
    if not one.passages:
        return float("-inf")
    return one.evidence.margin if one.evidence else float("inf")


def _margin_at(answerable: Sequence[Asked], share: float) -> float:
    return sorted(map(_margin, answerable))[int(share * len(answerable))]


def _refused(asked: Sequence[Asked], margin: float) -> float:
    return statistics.mean(_margin(one) < margin for one in asked)


def _thresholds(asked: Sequence[Asked]) -> dict[str, float]:
    return {one.evidence.kind: one.evidence.threshold for one in asked if one.evidence}


def _share(values: Sequence[bool]) -> float:
    return round(statistics.mean(values), 4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", nargs="?")
    parser.add_argument("--model", action="store_true", help="what the platform adds to a language model")
    parser.add_argument("--space", help="embedding space to search; default: the active one, MiniLM")
    parser.add_argument("--quick", action="store_true", help=f"one question of {QUICK_STEP}")
    options = parser.parse_args()
    # the models come from wheels; nothing may be looked up elsewhere
    os.environ["HF_HUB_OFFLINE"] = "1"
    if options.model or options.folder is None:
        figures = asyncio.run(generation.main(options.quick))
    else:
        os.environ["RAG_LLM"] = "extractive"
        figures = asyncio.run(main(options.folder, options.space, options.quick))
    print(json.dumps(figures))
