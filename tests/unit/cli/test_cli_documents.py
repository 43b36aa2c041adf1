"""``ragp documents``: what it takes as an id, and how it shows chunks."""

from typing import Any

import pytest
from typer.testing import CliRunner

from ragp.commands.documents import app, print_chunks


@pytest.mark.parametrize("command", ["show", "delete", "chunks"])
def test_only_a_uuid_is_an_id(command: str) -> None:
    result = CliRunner().invoke(app, [command, "../collections/handbook", "--url", "http://127.0.0.1:1"])
    assert result.exit_code == 2
    assert "UUID" in result.output


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ({}, "3 0-9 Fees > Harbour\n"),
        ({"page": 7}, "3 page 7 0-9 "),
        ({"slide": 2}, "3 slide 2 0-9 "),
        ({"sheet": "Q[1]", "rows": [4, 9]}, "3 sheet Q[1], rows 4-9 0-9 "),
    ],
)
def test_a_chunk_names_its_place(
    capsys: pytest.CaptureFixture[str], place: dict[str, Any], shown: str
) -> None:
    chunk = dict.fromkeys(("page", "slide", "sheet", "rows")) | {"chunk_no": 3, "start": 0, "end": 9}
    print_chunks([chunk | {"heading": ["Fees", "Harbour"], "text": "Ten euros"} | place])
    assert shown in capsys.readouterr().out.replace("  ", " ")
