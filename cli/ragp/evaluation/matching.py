"""Which expected documents an answer holds, and in what order."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

Source = Mapping[str, Any]
"""A passage of the API, or one of the other documents that say the same (``also_in``)."""


def names_of(source: Source) -> set[str]:
    """How the source's document may be referred to: by its id, ``source_uri`` or title, or by the last
    segments of its ``source_uri`` (``en/leave.md`` for ``file:///home/anna/en/leave.md``).
    """
    names = {source["document_id"], source["source_uri"], source["title"]}
    rest = unquote(source["source_uri"])
    while rest:
        _, _, rest = rest.partition("/")
        names.add(rest)
    return names - {""}


def names_in(passage: Source) -> set[str]:
    """Those of the passage's own document, and of those that say nearly the same."""
    return set().union(*map(names_of, sources_of(passage)))


def sources_of(passage: Source) -> Iterator[Source]:
    yield passage
    yield from passage.get("also_in", ())


def found_documents(passages: Sequence[Source], expected: Sequence[str]) -> list[str | None]:
    """The distinct documents in the order of their best passage: an expected one by its reference, any
    other as ``None``.

    Several passages of one document count once, at the first. A passage that stands for
    near-duplicates stands for every expected document among them.
    """
    order: list[str | None] = []
    found: set[str] = set()
    others: set[str] = set()
    for passage in passages:
        names = names_in(passage)
        new = [reference for reference in expected if reference in names and reference not in found]
        if new:
            found.update(new)
            order += new
        elif not found & names_of(passage):
            if passage["document_id"] not in others:
                order.append(None)
            others.add(passage["document_id"])
    return order
