import pytest
from pydantic import TypeAdapter, ValidationError

from rag_common.contracts import Metadata

METADATA: TypeAdapter[dict[str, object]] = TypeAdapter(Metadata)


@pytest.mark.parametrize("metadata", [{"a": "x\x00"}, {"a\x00": 1}, {"a": ["\\\x00"]}])
def test_nul_is_refused(metadata: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="NUL"):
        METADATA.validate_python(metadata)


def test_text_that_spells_a_nul_is_not_one() -> None:
    assert METADATA.validate_python({"a": r"\u0000"}) == {"a": r"\u0000"}
