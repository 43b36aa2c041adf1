"""What ``ragp search`` prints."""

from typing import Any

import pytest

from ragp.commands.search import print_passages

PASSAGE: dict[str, Any] = {
    "title": "Fees",
    "source_uri": "upload:/fees.xlsx",
    "page": None,
    "slide": None,
    "sheet": None,
    "rows": None,
    "heading": ["Harbour", "Fees"],
    "text": "Ten euros\nper day",
    "score": 0.5,
    "also_in": [],
}


def printed(capsys: pytest.CaptureFixture[str], **changes: Any) -> str:
    print_passages({"passages": [PASSAGE | changes], "degraded": False})
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ({}, "1. Fees score 0.500"),
        ({"page": 7}, "Fees, page 7 "),
        ({"slide": 3}, "Fees, slide 3 "),
        ({"sheet": "Q[1]", "rows": [4, 9]}, "Fees, sheet Q[1], rows 4-9 "),
        ({"sheet": "Q1", "rows": [4, 4]}, "Fees, sheet Q1, row 4 "),
    ],
)
def test_a_passage_names_its_place(
    capsys: pytest.CaptureFixture[str], place: dict[str, Any], shown: str
) -> None:
    assert shown in printed(capsys, **place)


def test_copies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    copy = {name: PASSAGE[name] for name in ("page", "sheet", "rows")}
    copy |= {"title": "Fees (old)", "source_uri": "file:old.pptx", "slide": 2}
    assert "also in Fees (old), slide 2 file:old.pptx" in printed(capsys, also_in=[copy, copy])
