"""One embedded stack for the end-to-end tests of a process."""

from collections.abc import Iterator

import pytest
from cli_stack import CliStack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliStack]:
    made = CliStack(tmp_path_factory.mktemp("stack") / "data")
    made.up()
    yield made
    made.down()
