"""What counts as text that can be seen."""

import sys

import pytest

from rag_ingest.domain.documents import is_blank


def test_every_white_space_character_is_blank() -> None:
    space = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
    assert all(map(is_blank, space))
    assert is_blank("".join(space))


@pytest.mark.parametrize("text", ["", "\ufeff", "\u200b \u200d", "\u00ad\n"])
def test_invisible_characters_are_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", " Ж ", "\u200b.", "👍", "\u0301"])
def test_anything_else_can_be_seen(text: str) -> None:
    assert not is_blank(text)
