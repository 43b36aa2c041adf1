"""How good retrieval is, measured through the API: nDCG@10 by direction and mode, span recall, exact offsets.

FOLDER is XQuAD (xquad.en.json, xquad.ru.json), the chunking evaluation (questions_df.csv, corpora/), or a
retrieval collection (corpus.jsonl, queries.jsonl, qrels.tsv); without one, the example corpus is asked.
"""

import argparse
import asyncio
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import quality_data
from harness import say, started

from ragp.client import GatewayClient, UploadFields
from ragp.commands.ingest import ingest_files
from ragp.evaluation.matching import Source
from ragp.evaluation.question_files import read_questions
from ragp.evaluation.questions import Question
from ragp.evaluation.report import measure
from ragp.evaluation.scoring import span_metric
from ragp.evaluation.search_settings import SearchSettings
from ragp.evaluation.significance import bootstrap_interval
from ragp.evaluation.summary import Run
from ragp.evaluation.uploading import upload_texts
from ragp.files import find_files
from ragp.target import Gateway

MODES = ("hybrid", "dense", "sparse")
EXAMPLES = Path(__file__).parent.parent / "examples"
BUDGET = 4000
EXPAND = 800
"""Characters of a widened passage: five of them fill the budget. Wider ones crowd others out."""
QUICK_STEP = 10
"""Of so many questions one is asked."""


async def main(folder: Path | None, space: str | None, quick: bool) -> dict[str, Any]:
    async with started(space=space) as bench:
        gateway = Gateway(bench.stack.url, bench.stack.api_key)
        async with GatewayClient(gateway) as client:
            if folder is None:
                return await examples(client, gateway)
            data = quality_data.read(folder)
            await ingest(client, data)
            if quick:
                data = quality_data.Folder(data.documents, _thinned(data.directions))
            measured = spans if data.has_spans else directions
            return await measured(client, data)


def _thinned(directions: dict[str, list[Question]]) -> dict[str, list[Question]]:
    return {name: questions[::QUICK_STEP] for name, questions in directions.items()}


async def ingest(client: GatewayClient, data: quality_data.Folder) -> None:
    for collection, documents in data.documents.items():
        await upload_texts(client, collection, documents)
        say(f"{collection}: {len(documents)} documents are searchable")


async def examples(client: GatewayClient, gateway: Gateway) -> dict[str, Any]:
    """The questions that go with the example corpus, in every mode."""
    files, _ = find_files([EXAMPLES / "corpus"])
    outcomes = await ingest_files(gateway, files, UploadFields("examples"), create=True)
    for outcome in outcomes:
        if not outcome.good:
            # a machine without text recognition, for example, cannot read the scan
            say(f"{outcome.path.name} is not searchable: {outcome.reason}")
    questions = read_questions(EXAMPLES / "questions.jsonl")
    figures: dict[str, Any] = {}
    for mode, run in (await in_modes(client, questions)).items():
        figures[f"examples_{mode}_ndcg10"] = figure(run, "ndcg10", f"examples, {mode}")
        figures[f"examples_{mode}_span_recall_{BUDGET}"] = figure(
            run, span_metric(BUDGET), f"examples, {mode}"
        )
    return figures


async def directions(client: GatewayClient, data: quality_data.Folder) -> dict[str, Any]:
    """nDCG@10 for every direction in every mode, and by how much hybrid is worse than its better leg."""
    figures: dict[str, Any] = {}
    gaps = []
    exact: list[bool] = []
    for direction, questions in data.directions.items():
        runs = await in_modes(client, questions)
        found = {mode: figure(run, "ndcg10", f"{direction}, {mode}") for mode, run in runs.items()}
        figures[f"{direction}_ndcg10"] = found["hybrid"]
        figures |= {f"{direction}_{leg}_ndcg10": found[leg] for leg in ("dense", "sparse")}
        gaps.append(max(found["dense"], found["sparse"]) - found["hybrid"])
        for run in runs.values():
            exact += offsets(data, run)
    return figures | {"hybrid_worst_gap": round(max(gaps), 4), "offsets_exact": mean(exact)}


async def spans(client: GatewayClient, data: quality_data.Folder) -> dict[str, Any]:
    """Recall of the gold characters in a context of ``BUDGET`` characters, in every mode and widened."""
    metric = span_metric(BUDGET)
    questions = [question for asked in data.directions.values() for question in asked]
    runs = await in_modes(client, questions)
    figures = {
        metric if mode == "hybrid" else f"{mode}_{metric}": figure(run, metric, mode)
        for mode, run in runs.items()
    }
    (widened,) = await measure(client, questions, [SearchSettings(expand=EXPAND)], BUDGET)
    figures[f"{metric}_expanded"] = figure(widened, metric, f"hybrid, expand={EXPAND}")
    exact = [each for run in (*runs.values(), widened) for each in offsets(data, run)]
    return figures | {"offsets_exact": mean(exact)}


async def in_modes(client: GatewayClient, questions: Sequence[Question]) -> dict[str, Run]:
    settings = [SearchSettings(mode=mode) for mode in MODES]
    return dict(zip(MODES, await measure(client, questions, settings, BUDGET), strict=True))


def figure(run: Run, metric: str, name: str) -> float:
    """The mean, told with its interval.

    :raises RuntimeError: an answer is missing or degraded: the mean would say something else.
    """
    for question, reply in zip(run.questions, run.replies, strict=True):
        if not reply.complete:
            raise RuntimeError(f"{question.text}: {reply.error or reply.degraded}")
    values = run.values(metric)
    low, high = bootstrap_interval(values)
    say(f"{name}: {metric} {mean(values):.4f} ({low:.4f} to {high:.4f}), {len(values)} questions")
    return round(mean(values), 4)


def offsets(data: quality_data.Folder, run: Run) -> list[bool]:
    """For each passage that came back, whether its offsets reproduce its text from the source; and for each
    other document that it names, whether its words are there between the offsets that are given.
    """
    texts = {
        document.source_uri: document.text for documents in data.documents.values() for document in documents
    }
    exact: list[bool] = []
    for passage in (passage for reply in run.replies for passage in reply.passages):
        exact.append(_span(texts, passage) == passage["text"])
        exact += [_holds(passage["text"], _span(texts, source)) for source in passage["also_in"]]
    return exact


def _span(texts: Mapping[str, str], source: Source) -> str:
    return texts[source["source_uri"]][source["start"] : source["end"]]


def _holds(passage: str, copy: str) -> bool:
    """Whether the copy's words, one at least, are some that follow each other in the passage."""
    own, other = (" ".join(re.findall(r"\w+", text.casefold().replace("ё", "е"))) for text in (passage, copy))
    return bool(other) and f" {other} " in f" {own} "


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER")
    parser.add_argument("--space", help="embedding space to measure; default: the active one, MiniLM")
    parser.add_argument("--quick", action="store_true", help=f"one question of {QUICK_STEP}")
    options = parser.parse_args()
    # the models come from wheels; nothing may be looked up elsewhere
    os.environ["HF_HUB_OFFLINE"] = "1"
    print(json.dumps(asyncio.run(main(options.folder, options.space, options.quick))))
