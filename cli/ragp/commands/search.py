"""``ragp search``: passages that answer a question."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from ragp.client import GatewayClient
from ragp.console import out
from ragp.language import _, translate
from ragp.options import ApiKey, AsJson, DataDir, Url, settings_from
from ragp.target import Gateway, find_gateway

_SHOWN_CHARACTERS = 400


class Mode(StrEnum):
    HYBRID = "hybrid"
    DENSE = "dense"
    SPARSE = "sparse"


Query = Annotated[str, typer.Argument(help="The question.")]
Collections = Annotated[
    list[str] | None,
    typer.Option("--collection", "-c", help="Only in this collection; several times for several."),
]
ModeOption = Annotated[Mode, typer.Option("--mode", help="Which index legs to ask.")]
Limit = Annotated[int, typer.Option("--limit", "-n", help="Passages at most.", min=1, max=100)]


def search(
    query: Query,
    collection: Collections = None,
    mode: ModeOption = Mode.HYBRID,
    limit: Limit = 5,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Search, and print passages with document, page and score."""
    gateway = find_gateway(settings_from(data_dir=data_dir, url=url, api_key=api_key))
    answer = asyncio.run(ask(gateway, query, collections=collection or [], mode=mode, limit=limit))
    if as_json:
        out.print_json(data=answer)
    else:
        print_passages(answer)


async def ask(
    gateway: Gateway, query: str, *, collections: list[str], mode: str, limit: int
) -> dict[str, Any]:
    async with GatewayClient(gateway) as client:
        return await client.search(query, collections=collections, mode=mode, limit=limit)


def print_passages(answer: dict[str, Any]) -> None:
    """One block per passage: where it is from and how well it fits, then the beginning of its text."""
    if answer.get("degraded"):
        reason = translate(answer.get("reason") or "") or _("a part of the search was not available")
        told = _("degraded: {reason}").format(reason=reason)
        out.print(f"[yellow]{escape(told)}[/]")
    if not answer["passages"]:
        out.print(_("no passages found"))
    for number, passage in enumerate(answer["passages"], start=1):
        page = ", " + _("page {page}").format(page=passage["page"]) if passage["page"] is not None else ""
        heading = " > ".join(passage["heading"])
        title = escape(f"{passage['title']}{page}")
        fit = escape(_("score {score}").format(score=f"{passage['score']:.3f}") + f"  {heading}")
        out.print(f"[bold]{number}. {title}[/bold]  [dim]{fit}[/dim]")
        out.print(f"   {escape(_beginning(passage['text']))}")


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[:_SHOWN_CHARACTERS].rstrip() + " …"
