"""What the sources of the example corpus say: a small part of Markdown, as blocks.

Headings, paragraphs of one line, bulleted and numbered lists, tables, and ``---`` for a new page.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["title", "heading", "paragraph", "bullet", "number", "table", "page"]
Rows = tuple[tuple[str, ...], ...]


class Block(NamedTuple):
    """One paragraph-like part of a source. ``rows`` is set in tables only, header first."""

    kind: Kind
    text: str = ""
    rows: Rows = ()


def parse(source: str) -> Iterator[Block]:
    """The blocks of a source, in order. A paragraph is one line."""
    for chunk in re.split(r"\n\s*\n", source.strip()):
        lines = chunk.splitlines()
        if lines[0].startswith("|"):
            rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
            yield Block("table", rows=(rows[0], *rows[2:]))
        else:
            yield from map(_line, lines)


def _line(line: str) -> Block:
    if line == "---":
        return Block("page")
    prefixes: dict[str, Kind] = {"# ": "title", "## ": "heading", "- ": "bullet"}
    for prefix, kind in prefixes.items():
        if line.startswith(prefix):
            return Block(kind, line.removeprefix(prefix))
    if re.match(r"\d+\. ", line):
        return Block("number", line)
    return Block("paragraph", line)
