"""How good retrieval is, measured through the API: nDCG@10 per direction, mode and space; span recall."""

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from harness import Bench, say, started
from quality_data import Folder, every, read_xquad

from ragp.client import GatewayClient
from ragp.evaluation.questions import Question
from ragp.evaluation.running import Need, Reply, ask_all
from ragp.evaluation.scoring import CUT, score
from ragp.evaluation.uploading import upload_texts
from ragp.target import Gateway

MODES = ("hybrid", "dense", "sparse")
BUDGET = 4000
QUICK_STEP = 10


async def main(folder: Path, quick: bool) -> dict[str, Any]:
    data = read_xquad(folder)
    async with started() as bench, client_of(bench) as client:
        for collection, documents in data.documents.items():
            await upload_texts(client, collection, documents)
            say(f"{len(documents)} documents searchable in {collection}")
        return await directions(client, data, quick)


def client_of(bench: Bench) -> GatewayClient:
    return GatewayClient(Gateway(bench.stack.url, bench.stack.api_key))


async def directions(client: GatewayClient, data: Folder, quick: bool) -> dict[str, Any]:
    """nDCG@10 for every direction in every mode, and by how much hybrid is worse than its better leg."""
    figures: dict[str, Any] = {}
    gaps = []
    exact: list[bool] = []
    for direction, all_questions in data.directions.items():
        questions = every(QUICK_STEP if quick else 1, all_questions)
        found = {}
        for mode in MODES:
            replies = await ask_all(client, questions, {"mode": mode}, Need(CUT, BUDGET))
            exact += offsets(data, replies)
            found[mode] = mean_of("ndcg10", questions, replies)
            name = f"{direction}_ndcg10" if mode == "hybrid" else f"{direction}_{mode}_ndcg10"
            figures[name] = round(found[mode], 4)
            slow = sorted(reply.milliseconds for reply in replies)[len(replies) * 95 // 100]
            say(f"{direction} {mode}: nDCG@10 {found[mode]:.4f}, p95 {slow:.0f} ms")
        gaps.append(max(found["dense"], found["sparse"]) - found["hybrid"])
    figures["hybrid_worst_gap"] = round(max(gaps), 4)
    figures["offsets_exact"] = mean(exact)
    return figures


def mean_of(metric: str, questions: Sequence[Question], replies: Sequence[Reply]) -> float:
    """:raises RuntimeError: an answer is missing or degraded: the mean would say something else."""
    for question, reply in zip(questions, replies, strict=True):
        if not reply.complete:
            raise RuntimeError(f"{question.text}: {reply.error or reply.degraded}")
    return mean(
        score(question, reply.passages, BUDGET)[metric]
        for question, reply in zip(questions, replies, strict=True)
    )


def offsets(data: Folder, replies: Sequence[Reply]) -> list[bool]:
    """For each passage, whether its offsets reproduce its text from the source."""
    texts = {
        document.source_uri: document.text for documents in data.documents.values() for document in documents
    }
    return [
        texts[passage["source_uri"]][passage["start"] : passage["end"]] == passage["text"]
        for reply in replies
        for passage in reply.passages
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="a tenth of the questions")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    print(json.dumps(asyncio.run(main(options.folder, options.quick))))
