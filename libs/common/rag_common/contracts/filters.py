"""Metadata filters of a search, as JSON: ``{"op": "eq", "field": "lang", "value": "ru"}``."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AllowInfNan, Field, StringConstraints, model_validator

from rag_common.contracts.base import Value

MAX_FILTER_DEPTH = 8
MAX_FILTER_CONDITIONS = 64

_KEY = "[A-Za-z_][A-Za-z0-9_-]*"
FieldPath = Annotated[str, StringConstraints(pattern=rf"^{_KEY}(\.{_KEY}){{0,7}}$", max_length=200)]
"""A key of the metadata object; nested keys are joined with dots."""


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    return text


Text = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_no_nul)]
Integer = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Number = Annotated[float, AllowInfNan(False)]
Scalar = bool | Integer | Text
"""Floats are compared by ``range``: equality of floats is not supported by the index."""


class Eq(Value):
    op: Literal["eq"] = "eq"
    """Equality."""
    field: FieldPath
    """Key of the metadata; nested keys are joined with dots."""
    value: Scalar
    """What the field holds; in a list, one of its items."""


class In(Value):
    op: Literal["in"] = "in"
    """Equality with any one of several values."""
    field: FieldPath
    """Key of the metadata; nested keys are joined with dots."""
    values: Annotated[tuple[Integer | Text, ...], Field(min_length=1, max_length=200)]
    """One of them is what the field holds."""


class Range(Value):
    """Numbers, or RFC 3339 date-times; all bounds of one kind."""

    op: Literal["range"] = "range"
    """Between bounds, of which one at least is given."""
    field: FieldPath
    """Key of the metadata; nested keys are joined with dots."""
    gt: Number | datetime | None = None
    """Above it."""
    gte: Number | datetime | None = None
    """Above it, or equal."""
    lt: Number | datetime | None = None
    """Below it."""
    lte: Number | datetime | None = None
    """Below it, or equal."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        kinds = {isinstance(bound, datetime) for bound in self.bounds.values()}
        if not kinds:
            raise ValueError("range takes at least one of gt, gte, lt, lte")
        if len(kinds) > 1:
            raise ValueError("the bounds of a range are all numbers or all date-times")
        return self

    @property
    def bounds(self) -> dict[str, float | datetime]:
        """The bounds that are set, by name."""
        named = {"gt": self.gt, "gte": self.gte, "lt": self.lt, "lte": self.lte}
        return {name: bound for name, bound in named.items() if bound is not None}


class Exists(Value):
    op: Literal["exists"] = "exists"
    """That the field is there."""
    field: FieldPath
    """Key of the metadata; nested keys are joined with dots."""


class And(Value):
    op: Literal["and"] = "and"
    """All of several conditions."""
    filters: "Annotated[tuple[Filter, ...], Field(min_length=1, max_length=MAX_FILTER_CONDITIONS)]"
    """The conditions."""


class Or(Value):
    op: Literal["or"] = "or"
    """Any one of several conditions."""
    filters: "Annotated[tuple[Filter, ...], Field(min_length=1, max_length=MAX_FILTER_CONDITIONS)]"
    """The conditions."""


class Not(Value):
    op: Literal["not"] = "not"
    """That a condition does not hold."""
    filter: "Filter"
    """The condition."""


Filter = Annotated[Eq | In | Range | Exists | And | Or | Not, Field(discriminator="op")]

And.model_rebuild()
Or.model_rebuild()
Not.model_rebuild()


def check_filter(condition: Filter) -> None:
    """:raises ValueError: nested deeper than 8, or more than 64 conditions in all."""
    count = 0
    stack: list[tuple[Filter, int]] = [(condition, 1)]
    while stack:
        node, depth = stack.pop()
        count += 1
        if depth > MAX_FILTER_DEPTH:
            raise ValueError(f"a filter nests at most {MAX_FILTER_DEPTH} deep")
        if count > MAX_FILTER_CONDITIONS:
            raise ValueError(f"a filter holds at most {MAX_FILTER_CONDITIONS} conditions")
        if isinstance(node, And | Or):
            stack.extend((child, depth + 1) for child in node.filters)
        elif isinstance(node, Not):
            stack.append((node.filter, depth + 1))
