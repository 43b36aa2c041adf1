"""``ragp spaces``: which embedding spaces there are, filling one, and switching to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from rag_common.errors import RagError
from rag_common.spaces import Space
from rag_common.topology import Topology
from ragp.console import out, report_error
from ragp.errors import CommandError
from ragp.language import _, ngettext
from ragp.nats_client import connected
from ragp.options import AsJson, DataDir, settings_from
from ragp.outcomes import progress
from ragp.settings import CliSettings
from ragp.target import find_database, find_nats

if TYPE_CHECKING:
    from rag_common.registry import Registry, SpaceCoverage

app = typer.Typer(help="Embedding spaces: one model with its index each.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the space, as `ragp spaces list` shows it.")]
Wait = Annotated[bool, typer.Option(help="Wait until every document is complete in the space.")]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Even if documents are missing in it or on their way: searches will not find them."
    ),
]
Description = Annotated[
    str,
    typer.Argument(help='As in RAG_CUSTOM_SPACES: {"name": "…", "model": "…", "dimension": 768}.'),
]


@app.command("list")
def list_spaces(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the known spaces, and how many of the live documents are complete in each."""
    coverage = asyncio.run(_coverage(settings_from(data_dir=data_dir)))
    if as_json:
        out.print_json(data=[asdict(found) for found in coverage])
        return
    table = Table(box=None, pad_edge=False)
    for title in (_("space"), _("active"), _("model"), _("languages")):
        table.add_column(title, no_wrap=True)
    table.add_column(_("complete documents"), justify="right")
    for found in coverage:
        table.add_row(
            found.space.name,
            f"[green]{_('yes')}[/green]" if found.active else "",
            found.space.model,
            ", ".join(found.space.languages).replace("*", _("many")),
            f"{found.complete} / {found.live}",
        )
    out.print(table)
    if unfinished := coverage[0].unfinished:
        told = _("besides, documents on their way to the active space: {count}")
        out.print(f"[dim]{told.format(count=unfinished)}[/dim]")


@app.command("add")
def add(description: Description, data_dir: DataDir = None) -> None:
    """Describe a space of your own to the registry; its embedders have it in RAG_CUSTOM_SPACES."""
    try:
        space = TypeAdapter(Space).validate_json(description)
    except ValidationError as error:
        problem = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise CommandError(f"this does not describe an embedding space: {problem}") from error
    asyncio.run(_add(settings_from(data_dir=data_dir), space))
    out.print(_("{space} is known; next: ragp spaces fill {space}").format(space=space.name))


@app.command("fill")
def fill(name: Name, wait: Wait = True, data_dir: DataDir = None) -> None:
    """Encode every live document for the space, behind all other work; searches go on meanwhile."""
    batches = asyncio.run(_fill(settings_from(data_dir=data_dir), name, wait=wait))
    if wait:
        out.print(_("every live document is complete in {space}").format(space=name))
    else:
        told = ngettext("{count} batch stored in the queue", "{count} batches stored in the queue", batches)
        out.print(told.format(count=batches))


@app.command("use")
def use(name: Name, force: Force = False, data_dir: DataDir = None) -> None:
    """Make it the space that searches use and that new documents are encoded for."""
    settings = settings_from(data_dir=data_dir)
    asyncio.run(_use(settings, name, force=force))
    out.print(_("{space} is active; searches follow within 5 s").format(space=name))
    try:
        asyncio.run(_check_served(settings, name))
    except CommandError as error:
        report_error(error)


async def _add(settings: CliSettings, space: Space) -> None:
    async with _registry(settings) as registry:
        await registry.spaces.add(space)


async def _coverage(settings: CliSettings) -> list["SpaceCoverage"]:
    async with _registry(settings) as registry:
        return await registry.spaces.coverage()


async def _fill(settings: CliSettings, name: str, *, wait: bool) -> int:
    # Imported here: the registry's driver would slow down the start of every other command.
    from ragp.filling import check_served, fill, wait_until_complete

    topology, batches = Topology(settings.namespace), 0
    async with _registry(settings) as registry, connected(find_nats(settings, "operator")) as client:
        await registry.spaces.get(name)
        await check_served(client, topology, name)
        total = await registry.spaces.incomplete(name)
        with progress() as bar:
            queued = bar.add_task(_("queue"), total=total)
            async for count in fill(registry, client, topology, name):
                batches += count
                bar.advance(queued)
            if wait:
                indexed = bar.add_task(_("index"), total=total)
                await wait_until_complete(
                    registry, client, topology, name,
                    lambda left: bar.update(indexed, completed=max(0, total - left)),
                )  # fmt: skip
    return batches


async def _use(settings: CliSettings, name: str, *, force: bool) -> None:
    async with _registry(settings, name) as registry:
        await registry.spaces.activate(name, even_incomplete=force)


async def _check_served(settings: CliSettings, name: str) -> None:
    from ragp.filling import check_served

    async with connected(find_nats(settings, "operator")) as client:
        await check_served(client, Topology(settings.namespace), name)


@asynccontextmanager
async def _registry(settings: CliSettings, name: str | None = None) -> AsyncIterator["Registry"]:
    """``name``: the space in question.

    :raises CommandError: whatever the registry refuses, with the cure that goes with it.
    """
    from rag_common.registry import DocumentsUnderWay, Registry, SpaceIncomplete, SpaceKnown, UnknownSpace

    cures = {
        UnknownSpace.code: "ragp spaces list",
        SpaceIncomplete.code: f"ragp spaces fill {name}, or --force",
        DocumentsUnderWay.code: f"when they are live (ragp spaces list): ragp spaces fill {name}, then again",
        SpaceKnown.code: "choose another name",
    }
    try:
        registry = await Registry.connect(find_database(settings), pool_size=1)
        try:
            yield registry
        finally:
            await registry.close()
    except RagError as error:
        raise CommandError(error.message, cure=cures.get(error.code, "ragp status")) from error
