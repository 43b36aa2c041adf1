"""``ragp models``: the language models that answers can be written with."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from rag_generator.settings import GeneratorSettings
from ragp.console import err, human_bytes, out, report_error
from ragp.errors import CommandError
from ragp.language import _
from ragp.language_models import ListedModel, configured_model, generator_settings, list_models
from ragp.language_models import pull as pull_model
from ragp.options import AsJson, DataDir, settings_from

app = typer.Typer(help="Language models that answers are written with.", no_args_is_help=True)

Name = Annotated[
    str | None,
    typer.Argument(help="As in Ollama's library, such as qwen2.5:3b; default: the one that is configured."),
]


@app.command("list")
def list_all(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List what the configured endpoint has, and which of it writes the answers."""
    settings = generator_settings(settings_from(data_dir=data_dir))
    models = [] if settings.llm == "extractive" else asyncio.run(list_models(settings))
    if as_json:
        out.print_json(data=[asdict(model) for model in models])
    elif settings.llm == "extractive":
        out.print(_("no model writes the answers: RAG_LLM is extractive"))
    else:
        _print(models)
        _tell_missing(settings, models)


@app.command("pull")
def pull(name: Name = None, data_dir: DataDir = None) -> None:
    """Have Ollama fetch a model; running generators notice it by themselves."""
    settings = generator_settings(settings_from(data_dir=data_dir))
    if settings.llm == "openai":
        raise CommandError(
            "RAG_LLM is openai: the models of that endpoint are not ours to fetch", cure="ragp models list"
        )
    model = name or configured_model(settings)
    asyncio.run(_pull(settings, model))
    out.print(_("Ollama has {model}").format(model=model), markup=False)


def _print(models: list[ListedModel]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in (_("model"), _("size"), _("loaded"), _("used")):
        table.add_column(title, no_wrap=True, justify="right" if title == _("size") else "left")
    for model in models:
        table.add_row(
            escape(model.name),
            human_bytes(model.size) if model.size is not None else "",
            _("yes") if model.loaded else "",
            f"[green]{_('yes')}[/green]" if model.used else "",
        )
    out.print(table)


def _tell_missing(settings: GeneratorSettings, models: list[ListedModel]) -> None:
    if any(model.used for model in models):
        return
    model = configured_model(settings)
    cure = "see RAG_LLM_MODEL" if settings.llm == "openai" else f"ragp models pull {model}"
    report_error(CommandError(f"the configured model {model} is not there", cure=cure))


async def _pull(settings: GeneratorSettings, model: str) -> None:
    columns = (TextColumn("{task.description:<12}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        files = {}
        async for step in pull_model(settings, model):
            if step.digest is None or step.total is None:
                continue
            if step.digest not in files:
                files[step.digest] = bar.add_task(step.digest.removeprefix("sha256:")[:12], total=step.total)
            bar.update(files[step.digest], completed=step.completed)
