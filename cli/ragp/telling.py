"""An answer in the terminal, while it is written: its text, then what it cites."""

from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from httpx_sse import ServerSentEvent
from rich.markup import escape

from ragp.console import err, out
from ragp.language import _, translate
from ragp.places import place

Json = dict[str, Any]


async def tell(events: AsyncIterator[ServerSentEvent]) -> None:
    """Print the text as it comes and then the sources, each with its quote.

    Text that the platform takes back stays on the screen, followed by a line that says so.
    """
    opened: Json = {}
    citations: list[Json] = []
    async for event in events:
        data = event.json()
        if event.event == "passages":
            opened, citations = data, []
        elif event.event == "delta":
            out.print(data["text"], end="", markup=False, soft_wrap=True)
            out.file.flush()
        elif event.event == "citation":
            citations.append(data)
        elif event.event == "restart":
            out.print()
            err.print(f"[dim]{escape(_('that was interrupted; once more from the beginning:'))}[/]")
        elif event.event == "done":
            out.print()
            _end(opened, data, citations)


def _end(opened: Json, done: Json, citations: list[Json]) -> None:
    if done["finish"] == "length":
        err.print(f"[yellow]{escape(_('the answer was cut at its greatest length'))}[/]")
    if citations:
        out.print()
        out.print(f"[bold]{escape(_('Sources'))}[/]")
    for _number, group in groupby(sorted(citations, key=itemgetter("n")), key=itemgetter("n")):
        _print_source(list(group))
    for sentence in done["grounding"] or ():
        score = "–" if sentence["score"] is None else f"{sentence['score']:.2f}"
        out.print(f"[dim]{score}[/]  {escape(sentence['text'])}")
    if done["degraded"]:
        reason = translate(done["reason"] or "") or _("a part of the platform was not available")
        err.print(f"[yellow]{escape(_('degraded: {reason}').format(reason=reason))}[/]")
    if done["answered"]:
        err.print(f"[dim]{escape(_by(opened))}[/]")


def _print_source(citations: Sequence[Json]) -> None:
    """One passage, with each of its sentences that the answer cites."""
    first = citations[0]
    title = escape(", ".join([first["title"], *place(first)]))
    out.print(rf"\[{first['n']}] [bold]{title}[/]  [dim]{escape(first['source_uri'])}[/]")
    for citation in citations:
        out.print(f"    [dim]{escape(' '.join(citation['quote'].split()))}[/]")


def _by(opened: Json) -> str:
    if opened["cached"]:
        return _("an answer that was given before")
    if opened["model"] is None:
        return _("quoted from the documents, without a language model")
    return _("written by {model}").format(model=opened["model"])
