"""Filter conditions of a Qdrant server."""

from collections.abc import Sequence
from datetime import datetime

from qdrant_client import models


class QdrantDialect:
    """See :class:`rag_retriever.adapters.conditions.Dialect`."""

    def all_of(self, conditions: Sequence[models.Condition]) -> models.Filter:
        return models.Filter(must=list(conditions))

    def any_of(self, conditions: Sequence[models.Condition]) -> models.Filter:
        # the engine takes an empty list of alternatives for no restriction at all
        return models.Filter(should=list(conditions) or [models.HasIdCondition(has_id=[])])

    def none_of(self, conditions: Sequence[models.Condition]) -> models.Filter:
        return models.Filter(must_not=list(conditions))

    def equals(self, key: str, value: bool | int | str) -> models.Condition:
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))

    def one_of(self, key: str, values: Sequence[int] | Sequence[str]) -> models.Condition:
        return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))

    def number_range(self, key: str, bounds: dict[str, float]) -> models.Condition:
        return models.FieldCondition(key=key, range=models.Range(**bounds))

    def time_range(self, key: str, bounds: dict[str, datetime]) -> models.Condition:
        return models.FieldCondition(key=key, range=models.DatetimeRange(**bounds))

    def exists(self, key: str) -> models.Condition:
        return models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=key))])
