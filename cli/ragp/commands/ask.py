"""``ragp ask`` and ``ragp chat``: answers from the documents."""

import asyncio
import sys
from typing import Annotated, Any

import typer
from rich.markup import escape

from ragp.client import GatewayClient
from ragp.console import err, out, report_error
from ragp.errors import GatewayError
from ragp.language import _
from ragp.options import ApiKey, AsJson, DataDir, Url, settings_from
from ragp.target import Gateway, find_gateway
from ragp.telling import tell

QUIT = frozenset({"/quit", "/exit"})

Question = Annotated[str, typer.Argument(help="The question.")]
Collections = Annotated[
    list[str] | None,
    typer.Option("--collection", "-c", help="Only from this collection; several times for several."),
]
Limit = Annotated[int, typer.Option("--limit", "-n", help="Passages to answer from, at most.", min=1, max=50)]
Conversation = Annotated[
    str | None,
    typer.Option("--conversation", help="Id of a conversation to go on with.", show_default=False),
]
Grounding = Annotated[
    bool, typer.Option("--grounding", help="Say for each sentence how well the passages support it.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Do not repeat an answer that was given before.")]


def ask(
    question: Question,
    collection: Collections = None,
    limit: Limit = 10,
    conversation: Conversation = None,
    grounding: Grounding = False,
    fresh: Fresh = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Ask, and print the answer with its sources."""
    gateway = find_gateway(settings_from(data_dir=data_dir, url=url, api_key=api_key))
    body: dict[str, Any] = {"question": question, "collections": collection or [], "limit": limit}
    body |= {"grounding": grounding, "cache": not fresh}
    if conversation is not None:
        body["conversation_id"] = conversation
    if as_json:
        out.print_json(data=asyncio.run(_whole(gateway, body)))
    else:
        asyncio.run(_streamed(gateway, body))


def chat(
    collection: Collections = None,
    limit: Limit = 10,
    conversation: Conversation = None,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Ask one question after another; each may refer to what was said before. /quit or Ctrl-D ends it."""
    gateway = find_gateway(settings_from(data_dir=data_dir, url=url, api_key=api_key))
    body: dict[str, Any] = {"collections": collection or [], "limit": limit}
    while (question := _next_question()) is not None:
        conversation = conversation or asyncio.run(_new_conversation(gateway))
        try:
            asyncio.run(_streamed(gateway, {**body, "question": question, "conversation_id": conversation}))
        except GatewayError as error:
            # the next question may do better
            report_error(error)
        except KeyboardInterrupt:
            out.print()
    if conversation is None:
        return
    told = _("To go on with this conversation: {command}")
    err.print(f"[dim]{escape(told.format(command=f'ragp chat --conversation {conversation}'))}[/]")


def _next_question() -> str | None:
    """The next line that is not empty; ``None`` at the end."""
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            err.print()
            return None
        if line in QUIT:
            return None
        if line:
            return line


async def _whole(gateway: Gateway, body: dict[str, Any]) -> dict[str, Any]:
    async with GatewayClient(gateway) as client:
        return await client.post_question(body)


async def _streamed(gateway: Gateway, body: dict[str, Any]) -> None:
    async with GatewayClient(gateway) as client:
        await tell(client.stream_answer(body))


async def _new_conversation(gateway: Gateway) -> str:
    async with GatewayClient(gateway) as client:
        return str((await client.new_conversation())["id"])
