"""Translates a :class:`Scope` into an engine's filter; the engines differ only in their dialect."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from rag_common.contracts import And, Eq, Exists, Filter, In, Not, Or, Range
from rag_retriever.domain.index import Scope

C = TypeVar("C")
"""A condition of the engine; its filters are conditions too."""

METADATA = "meta."
"""Prefix of the user's metadata fields within a payload."""


class Dialect(Protocol[C]):
    """The conditions of one engine. All of them hold for an array when one element satisfies them."""

    def all_of(self, conditions: Sequence[C]) -> C: ...

    def any_of(self, conditions: Sequence[C]) -> C:
        """Of no conditions: never true."""

    def none_of(self, conditions: Sequence[C]) -> C: ...

    def equals(self, key: str, value: bool | int | str) -> C: ...

    def one_of(self, key: str, values: Sequence[int] | Sequence[str]) -> C: ...

    def number_range(self, key: str, bounds: dict[str, float]) -> C: ...

    def time_range(self, key: str, bounds: dict[str, datetime]) -> C: ...

    def exists(self, key: str) -> C:
        """Present, and neither null nor an empty array."""


def scope_condition(dialect: Dialect[C], scope: Scope) -> C:
    """The whole scope as one condition; every prefetch carries it."""
    conditions = [dialect.equals("tenant", scope.tenant), _among(dialect, "acl", scope.principals)]
    if scope.collections:
        conditions.append(_among(dialect, "collection_id", scope.collections))
    if scope.condition is not None:
        conditions.append(condition(dialect, scope.condition))
    return dialect.all_of(conditions)


def _among(dialect: Dialect[C], key: str, values: Sequence[str]) -> C:
    """A single value is compared faster than a set of one."""
    return dialect.equals(key, values[0]) if len(values) == 1 else dialect.one_of(key, values)


def document_condition(dialect: Dialect[C], tenant: str, document_id: str, generations: Sequence[int]) -> C:
    """The points of one document in these generations; in all when none is named."""
    conditions = [dialect.equals("tenant", tenant), dialect.equals("document_id", document_id)]
    if generations:
        conditions.append(dialect.one_of("generation", generations))
    return dialect.all_of(conditions)


def condition(dialect: Dialect[C], node: Filter) -> C:
    """A user's filter over metadata."""
    match node:
        case And():
            return dialect.all_of([condition(dialect, child) for child in node.filters])
        case Or():
            return dialect.any_of([condition(dialect, child) for child in node.filters])
        case Not():
            return dialect.none_of([condition(dialect, node.filter)])
        case Eq():
            return _one_of(dialect, METADATA + node.field, [node.value])
        case In():
            return _one_of(dialect, METADATA + node.field, node.values)
        case Exists():
            return dialect.exists(METADATA + node.field)
        case Range():
            return _range(dialect, METADATA + node.field, node.bounds)


def _one_of(dialect: Dialect[C], key: str, values: Sequence[bool | int | str]) -> C:
    """The engines compare one value, or a set of values of one type."""
    flags = [value for value in values if isinstance(value, bool)]
    words = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    conditions = [dialect.equals(key, flag) for flag in flags]
    if words:
        conditions.append(dialect.one_of(key, words))
    if numbers:
        conditions.append(dialect.one_of(key, numbers))
    return conditions[0] if len(conditions) == 1 else dialect.any_of(conditions)


def _range(dialect: Dialect[C], key: str, bounds: dict[str, float | datetime]) -> C:
    times = {
        name: bound if bound.tzinfo else bound.replace(tzinfo=UTC)
        for name, bound in bounds.items()
        if isinstance(bound, datetime)
    }
    if times:
        return dialect.time_range(key, times)
    return dialect.number_range(
        key, {name: bound for name, bound in bounds.items() if not isinstance(bound, datetime)}
    )
