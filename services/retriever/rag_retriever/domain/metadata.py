"""How a user's metadata object is written into a point, so that both engines filter it alike."""

import sys
from collections.abc import Mapping

from pydantic import JsonValue

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_LARGEST = int(sys.float_info.max)
_EXACT = 2**53
"""Up to here every integer is a float64 of its own."""


def indexable(metadata: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A copy in which equal JSON numbers look equal.

    ``5.0`` becomes ``5`` (the engines compare integers with integers only), and an integer beyond
    64 bits becomes a float (they would refuse the point).
    """
    return {key: _indexable(value) for key, value in metadata.items()}


def _indexable(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return indexable(value)
    if isinstance(value, list):
        return [_indexable(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and not INT64_MIN <= value <= INT64_MAX:
        return float(max(-_LARGEST, min(value, _LARGEST)))
    return value
