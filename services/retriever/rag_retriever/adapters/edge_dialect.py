"""Filter conditions of Qdrant Edge."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import qdrant_edge as edge


class EdgeDialect:
    """See :class:`rag_retriever.adapters.conditions.Dialect`."""

    def all_of(self, conditions: "Sequence[edge.ConditionType]") -> edge.Filter:
        return edge.Filter(must=list(conditions))

    def any_of(self, conditions: "Sequence[edge.ConditionType]") -> edge.Filter:
        # the engine takes an empty list of alternatives for no restriction at all
        return edge.Filter(should=list(conditions) or [edge.HasIdCondition(set())])

    def none_of(self, conditions: "Sequence[edge.ConditionType]") -> edge.Filter:
        return edge.Filter(must_not=list(conditions))

    def equals(self, key: str, value: bool | int | str) -> "edge.ConditionType":
        # the binding takes Python's bool for an integer, but not numpy's
        exact = np.bool_(value) if isinstance(value, bool) else value
        return edge.FieldCondition(key=key, match=edge.MatchValue(exact))  # type: ignore[arg-type]  # see above

    def one_of(self, key: str, values: Sequence[int] | Sequence[str]) -> "edge.ConditionType":
        return edge.FieldCondition(key=key, match=edge.MatchAny(list(values)))  # type: ignore[arg-type]  # all int or all str

    def number_range(self, key: str, bounds: dict[str, float]) -> "edge.ConditionType":
        return edge.FieldCondition(key=key, range=edge.RangeFloat(**bounds))

    def time_range(self, key: str, bounds: dict[str, datetime]) -> "edge.ConditionType":
        texts = {name: bound.isoformat() for name, bound in bounds.items()}
        return edge.FieldCondition(key=key, range=edge.RangeDateTime(**texts))

    def exists(self, key: str) -> "edge.ConditionType":
        return edge.Filter(must_not=[edge.IsEmptyCondition(key)])
