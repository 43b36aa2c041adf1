"""``ragp documents``: list, show and delete documents, and read their chunks."""

import asyncio
import uuid
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ragp.client import GatewayClient
from ragp.console import human_bytes, out
from ragp.language import _
from ragp.options import ApiKey, AsJson, DataDir, Url, settings_from
from ragp.places import place
from ragp.target import Gateway, find_gateway

app = typer.Typer(help="The documents that the platform holds.", no_args_is_help=True)

DocumentId = Annotated[uuid.UUID, typer.Argument(help="Id of the document.")]
Collection = Annotated[str | None, typer.Option("--collection", "-c", help="Only of this collection.")]
State = Annotated[str | None, typer.Option("--state", help="Only in this state, for example failed.")]
Parent = Annotated[
    uuid.UUID | None, typer.Option("--parent", help="Only what came in this archive or mail (its id).")
]
Limit = Annotated[int, typer.Option("--limit", "-n", help="Documents at most.", min=1)]


@app.command("list")
def list_documents(
    collection: Collection = None,
    state: State = None,
    parent: Parent = None,
    limit: Limit = 100,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List documents, newest first."""
    gateway = find_gateway(settings_from(data_dir=data_dir, url=url, api_key=api_key))
    found = asyncio.run(
        _list(gateway, limit, collection=collection, state=state, parent_id=str(parent) if parent else None)
    )
    if as_json:
        out.print_json(data=found)
        return
    table = Table(box=None, pad_edge=False)
    # An id is there to be copied: it is never cut.
    table.add_column(_("id"), min_width=36, no_wrap=True)
    for title in (_("state"), _("collection")):
        table.add_column(title, no_wrap=True)
    table.add_column(_("title"))
    for title in (_("chunks"), _("size")):
        table.add_column(title, justify="right", no_wrap=True)
    for document in found:
        table.add_row(
            document["id"],
            document["state"],
            document["collection"],
            escape(document["title"]),
            str(document.get("chunk_count") or "-"),
            human_bytes(document.get("size") or 0),
        )
    out.print(table)


@app.command("show")
def show(document_id: DocumentId, data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None) -> None:
    """Print everything that is known of a document, its history included."""
    gateway = find_gateway(settings_from(data_dir=data_dir, url=url, api_key=api_key))
    out.print_json(data=asyncio.run(_show(gateway, str(document_id))))


@app.command("delete")
def delete(
    document_id: DocumentId, data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None
) -> None:
    """Delete a document: from now on no search finds it."""
    gateway = find_gateway(settings_from(data_dir=data_dir, url=url, api_key=api_key))
    asyncio.run(_delete(gateway, str(document_id)))
    out.print(_("deleted {document_id}").format(document_id=document_id))


@app.command("chunks")
def chunks(
    document_id: DocumentId,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Print a document's chunks: number, place, offsets, heading, text."""
    gateway = find_gateway(settings_from(data_dir=data_dir, url=url, api_key=api_key))
    found = asyncio.run(_chunks(gateway, str(document_id)))
    if as_json:
        out.print_json(data=found)
        return
    print_chunks(found)


def print_chunks(found: list[dict[str, Any]]) -> None:
    """One block per chunk: where it is, then its whole text."""
    for chunk in found:
        where = ", ".join(place(chunk))
        told = [where, f"{chunk['start']}-{chunk['end']}", " > ".join(chunk["heading"])]
        out.print(f"[bold]{chunk['chunk_no']}[/bold]  [dim]{escape('  '.join(filter(None, told)))}[/dim]")
        out.print(chunk["text"], markup=False)


async def _list(gateway: Gateway, limit: int, **filters: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with GatewayClient(gateway) as client:
        async for document in client.documents(**filters):
            found.append(document)
            if len(found) >= limit:
                break
    return found


async def _show(gateway: Gateway, document_id: str) -> dict[str, Any]:
    async with GatewayClient(gateway) as client:
        return await client.document(document_id)


async def _delete(gateway: Gateway, document_id: str) -> None:
    async with GatewayClient(gateway) as client:
        await client.delete(document_id)


async def _chunks(gateway: Gateway, document_id: str) -> list[dict[str, Any]]:
    async with GatewayClient(gateway) as client:
        return [chunk async for chunk in client.chunks(document_id)]
