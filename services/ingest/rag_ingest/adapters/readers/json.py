"""JSON and JSON lines: a line for each value, under the names that lead to it.

``{"order": {"customer": "Anna", "tags": ["new", "paid"]}}`` becomes::

    order.customer: Anna
    order.tags: new, paid

An object in a list is a paragraph of its own, so that what belongs together stays together.
"""

import json
from pathlib import Path
from typing import TypeAlias, Union

from rag_ingest.adapters.decoding import decoded
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers.leaves import Leaves
from rag_ingest.adapters.readers.packages import damaged
from rag_ingest.domain.formats import MEDIA_TYPES, Format

_SHORT = 40
"""Characters of a value that stands in a line with others of its list."""


class _Members(tuple[tuple[str, "_Value"], ...]):
    """The members of an object, in their order; none is lost where names repeat."""


_Value: TypeAlias = Union[str, bool, list["_Value"], _Members, None]  # noqa: UP007 - refers to itself
"""Numbers are text as well: they stay as they are written."""


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    text, warnings = decoded(path.read_bytes())
    leaves = Leaves()
    try:
        for value in _values(text, kind):
            _walk(leaves, [], value)
            leaves.end_record()
    except RecursionError as error:
        raise damaged(kind, "it is nested too deeply") from error
    return leaves.built.extracted(MEDIA_TYPES[kind], warnings=[*warnings, *leaves.warnings(kind)])


def _values(text: str, kind: Format) -> list[_Value]:
    """One value, or one on each line."""
    try:
        return [_parse(text)]
    except json.JSONDecodeError as error:
        whole = error
    values: list[_Value] = []
    # Not splitlines: JSON allows the rarer line separators within strings.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values.append(_parse(line))
        except json.JSONDecodeError as error:
            if values:
                raise damaged(kind, f"line {number}: {error.msg}") from error
            raise damaged(kind, f"line {whole.lineno}, column {whole.colno}: {whole.msg}") from error
    return values


def _parse(text: str) -> _Value:
    value: _Value = json.loads(
        text, object_pairs_hook=_Members, parse_int=str, parse_float=str, parse_constant=str
    )
    return value


def _walk(leaves: Leaves, names: list[str], value: _Value) -> None:
    if isinstance(value, _Members):
        for name, member in value:
            _walk(leaves, [*names, name], member)
    elif isinstance(value, list):
        _walk_list(leaves, names, value)
    elif value is not None:
        leaves.add(names, _shown(value))


def _walk_list(leaves: Leaves, names: list[str], values: list[_Value]) -> None:
    """Short values share a line; each object or list has its own paragraph."""
    short: list[str] = []
    for value in values:
        if isinstance(value, (list, _Members)):
            leaves.add(names, ", ".join(short))
            short.clear()
            leaves.end_record()
            _walk(leaves, names, value)
            leaves.end_record()
        elif value is not None and len(text := _shown(value).strip()) <= _SHORT:
            short += [text] if text else []
        elif value is not None:
            leaves.add(names, ", ".join(short))
            short.clear()
            leaves.add(names, text)
    leaves.add(names, ", ".join(short))


def _shown(value: str | bool) -> str:
    return value if isinstance(value, str) else str(value).lower()
