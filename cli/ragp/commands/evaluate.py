"""``ragp eval``: how well retrieval answers your own questions."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from rag_common.contracts import CollectionName
from ragp.client import PATIENCE, GatewayClient
from ragp.console import out, report
from ragp.errors import CommandError
from ragp.evaluation.folders import read_folder
from ragp.evaluation.page import html_report
from ragp.evaluation.question_files import read_questions
from ragp.evaluation.questions import Question, TextDocument
from ragp.evaluation.report import Report, check_references, measure, report_on
from ragp.evaluation.scoring import metrics_with
from ragp.evaluation.search_settings import SearchSettings
from ragp.evaluation.terminal import print_report
from ragp.evaluation.uploading import upload_texts
from ragp.language import _
from ragp.options import ApiKey, DataDir, Url, settings_from
from ragp.outcomes import progress
from ragp.target import Gateway, find_gateway

DEFAULT_BUDGET = 4000
"""Characters: about a thousand tokens of English, what a prompt has room for."""

QuestionsPath = Annotated[
    Path,
    typer.Argument(
        metavar="QUESTIONS",
        help="A file of questions (JSON Lines or CSV), or a folder with corpus.jsonl, queries.jsonl and"
        " qrels.tsv; see docs/evaluation.md.",
    ),
]
SettingsOption = Annotated[
    str,
    typer.Option(
        "--settings", "-s", metavar="NAME=VALUE,...",
        help="How to search: mode, limit, expand, diversity, rerank, space.",
    ),
]  # fmt: skip
CompareOption = Annotated[
    list[str] | None,
    typer.Option(
        "--compare", metavar="NAME=VALUE,...",
        help="Measure this way, too, and test the difference; what is not named is as in --settings."
        " Several times for several.",
    ),
]  # fmt: skip
CollectionOption = Annotated[
    str | None,
    typer.Option("--collection", "-c", help="Where to ask questions that name no collection of their own."),
]
IngestOption = Annotated[
    bool, typer.Option("--ingest", help="First upload the documents of the folder into the collection.")
]
BudgetOption = Annotated[
    int, typer.Option("--budget", help="Characters of the context that span recall looks at.", min=1)
]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML page.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")]
FailOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under", metavar="METRIC=VALUE",
        help="Exit with code 1 if the figure of --settings is lower, for example ndcg10=0.9; several times"
        " for several.",
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What to ask, and what to upload before."""

    questions: Sequence[Question]
    collection: str | None = None
    documents: Sequence[TextDocument] = ()


def evaluate(
    questions: QuestionsPath,
    settings: SettingsOption = "",
    compare: CompareOption = None,
    collection: CollectionOption = None,
    ingest: IngestOption = False,
    budget: BudgetOption = DEFAULT_BUDGET,
    html: HtmlOption = None,
    json_file: JsonOption = None,
    fail_under: FailOption = None,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Ask questions with known answers, and measure what comes back.

    Exit code 1 if a question got no answer or a degraded one, or a figure is under --fail-under.
    """
    first = SearchSettings.parse(settings)
    all_settings = [first, *(SearchSettings.parse(text, first) for text in compare or [])]
    floors = _floors(fail_under or [], budget)
    for path in filter(None, (html, json_file)):
        if not path.parent.is_dir():
            # Better now than after an hour of questions.
            raise CommandError(f"there is no directory {path.parent} to write {path.name} into")
    task = _task(questions, collection, ingest)
    gateway = find_gateway(settings_from(data_dir=data_dir, url=url, api_key=api_key))
    done = asyncio.run(_run(gateway, task, all_settings, budget, questions.resolve().name))
    print_report(done, out)
    if html is not None:
        _write(html, html_report(done))
    if json_file is not None:
        _write(json_file, done.to_json())
    if not _good_enough(done, floors):
        raise typer.Exit(1)


def _task(path: Path, collection: str | None, ingest: bool) -> Task:
    if path.is_dir():
        name = collection if collection is not None else path.resolve().name
        _check_name(name)
        folder = read_folder(path, name)
        if folder.unjudged:
            report(f"left out: {folder.unjudged} queries without a relevant document")
        if folder.empty:
            report(f"left out: {folder.empty} empty documents")
        return Task(folder.questions, name, folder.documents if ingest else ())
    if ingest:
        raise CommandError(f"{path} is not a folder with documents", cure="put them in with ragp ingest")
    return Task([replace(each, collection=each.collection or collection) for each in read_questions(path)])


def _check_name(collection: str) -> None:
    try:
        TypeAdapter(CollectionName).validate_python(collection)
    except ValidationError as error:
        raise CommandError(
            f"{collection!r} cannot be the name of a collection", cure="give another one with --collection"
        ) from error


async def _run(
    gateway: Gateway, task: Task, settings: Sequence[SearchSettings], budget: int, source: str
) -> Report:
    created_at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    async with GatewayClient(gateway, patience=PATIENCE) as client:
        with progress() as bar:
            if task.collection is not None and task.documents:
                indexing = bar.add_task(_("index"), total=len(task.documents))
                await upload_texts(client, task.collection, task.documents, lambda: bar.advance(indexing))
            asking = bar.add_task(_("ask"), total=len(task.questions) * len(settings))
            runs = await measure(client, task.questions, settings, budget, lambda: bar.advance(asking))
        references = await check_references(client, runs)
    return report_on(source, created_at, runs, settings, budget, references)


def _floors(entries: Sequence[str], budget: int) -> dict[str, float]:
    """:raises CommandError: an entry is not ``metric=value`` of a known metric."""
    floors = {}
    for entry in entries:
        metric, _, value = entry.partition("=")
        if metric not in metrics_with(budget):
            raise CommandError(
                f"--fail-under: there is no metric {metric!r}",
                cure=f"one of {', '.join(metrics_with(budget))}",
            )
        try:
            floors[metric] = float(value)
        except ValueError as error:
            raise CommandError(f"--fail-under takes METRIC=VALUE, not {entry!r}") from error
    return floors


def _good_enough(done: Report, floors: dict[str, float]) -> bool:
    good = done.complete
    for metric, floor in floors.items():
        figure = done.summaries[0].figures.get(metric)
        if figure is None:
            told = _("no question can be measured by {metric}").format(metric=metric)
            out.print(f"[red]{told}[/red]")
            good = False
        elif figure.mean < floor:
            told = _("{metric} is {mean}, under {floor}")
            out.print(
                f"[red]{told.format(metric=metric, mean=f'{figure.mean:.4f}', floor=f'{floor:g}')}[/red]"
            )
            good = False
    return good


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}") from error
