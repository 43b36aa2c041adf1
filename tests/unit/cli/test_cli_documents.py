"""``ragp documents``: what it takes as an id."""

import pytest
from typer.testing import CliRunner

from ragp.commands.documents import app


@pytest.mark.parametrize("command", ["show", "delete", "chunks"])
def test_only_a_uuid_is_an_id(command: str) -> None:
    result = CliRunner().invoke(app, [command, "../collections/handbook", "--url", "http://127.0.0.1:1"])
    assert result.exit_code == 2
    assert "UUID" in result.output
