"""``ragp search``: passages that answer a question."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from rag_common.contracts import MAX_EXPANSION
from ragp.client import GatewayClient
from ragp.console import out
from ragp.language import _, translate
from ragp.options import ApiKey, AsJson, DataDir, Url, settings_from
from ragp.places import place
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
Expand = Annotated[
    int,
    typer.Option(
        "--expand",
        help="Widen passages by their neighbours, up to so many characters.",
        min=0,
        max=MAX_EXPANSION,
    ),
]
Diversity = Annotated[
    float,
    typer.Option("--diversity", help="Prefer passages that do not repeat others, 0 to 1.", min=0, max=1),
]
Rerank = Annotated[
    bool | None,
    typer.Option(
        "--rerank/--no-rerank",
        help="Have a cross-encoder order the passages; by default if one is set up.",
    ),
]

Space = Annotated[
    str | None,
    typer.Option("--space", help="Embedding space to search in; by default the active one."),
]


def search(
    query: Query,
    collection: Collections = None,
    mode: ModeOption = Mode.HYBRID,
    limit: Limit = 5,
    expand: Expand = 0,
    diversity: Diversity = 0.0,
    rerank: Rerank = None,
    space: Space = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Search, and print passages with document, place and score."""
    gateway = find_gateway(settings_from(data_dir=data_dir, url=url, api_key=api_key))
    body: dict[str, Any] = {"query": query, "collections": collection or [], "mode": mode, "limit": limit}
    body |= {"expand": expand, "diversity": diversity, "rerank": rerank, "space": space}
    answer = asyncio.run(ask(gateway, body))
    if as_json:
        out.print_json(data=answer)
    else:
        print_passages(answer)


async def ask(gateway: Gateway, body: dict[str, Any]) -> dict[str, Any]:
    async with GatewayClient(gateway) as client:
        return await client.post_search(body)


def print_passages(answer: dict[str, Any]) -> None:
    """One block per passage: where it is from and how well it fits, then the beginning of its text."""
    if answer.get("degraded"):
        reason = translate(answer.get("reason") or "") or _("a part of the search was not available")
        told = _("degraded: {reason}").format(reason=reason)
        out.print(f"[yellow]{escape(told)}[/]")
    if not answer["passages"]:
        out.print(_("no passages found"))
    for number, passage in enumerate(answer["passages"], start=1):
        heading = " > ".join(passage["heading"])
        title = escape(_title(passage))
        fit = escape(_("score {score}").format(score=f"{passage['score']:.3f}") + f"  {heading}")
        out.print(f"[bold]{number}. {title}[/bold]  [dim]{fit}[/dim]")
        out.print(f"   {escape(_beginning(passage['text']))}")
        for source in passage["also_in"]:
            also = _("also in {title}").format(title=f"{_title(source)}  {source['source_uri']}")
            out.print(f"   [dim]{escape(also)}[/dim]")


def _title(found: dict[str, Any]) -> str:
    """The document's title, and where in it: ``Prices, sheet Fees, rows 4-9``."""
    return ", ".join([found["title"], *place(found)])


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[:_SHOWN_CHARACTERS].rstrip() + " …"
