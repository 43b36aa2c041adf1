"""Which expected documents an answer holds, and in what order."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

Source = Mapping[str, Any]
"""A passage of the API, or one of the other documents that say the same (``also_in``)."""


def refers(reference: str, source: Source) -> bool:
    """Whether the reference means the source's document: by its id, ``source_uri`` or title, or by the
    last segments of its ``source_uri`` (``en/leave.md`` is ``file:///home/anna/en/leave.md``).
    """
    uri = source["source_uri"]
    if reference in (source["document_id"], uri, source["title"]):
        return True
    return bool(unquote(uri).endswith("/" + reference))


def sources_of(passage: Source) -> Iterator[Source]:
    """The passage's own document, and those that say nearly the same."""
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
        new = [
            reference
            for reference in expected
            if reference not in found and any(refers(reference, source) for source in sources_of(passage))
        ]
        if new:
            found.update(new)
            order += new
        elif not any(refers(reference, passage) for reference in found):
            if passage["document_id"] not in others:
                order.append(None)
            others.add(passage["document_id"])
    return order
