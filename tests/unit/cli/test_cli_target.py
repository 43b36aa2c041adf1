"""Where a command finds its gateway, and which key it shows to it."""

from pathlib import Path

import psutil
import pytest

from ragp.errors import CommandError
from ragp.options import settings_from
from ragp.stack.state import DataDirectory, RunRecord, write_private
from ragp.target import find_gateway

OWN_URL = "http://127.0.0.1:8080"


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """The data directory of a stack whose supervisor is this process."""
    directory = DataDirectory(tmp_path / "data")
    directory.create()
    own = psutil.Process()
    record = RunRecord(pid=own.pid, created=own.create_time(), started_at=0, ready=True, url=OWN_URL)
    write_private(directory.run_file, record.model_dump_json())
    write_private(directory.api_key_file, "bootstrap")
    return directory.root


@pytest.mark.parametrize("url", [None, OWN_URL, OWN_URL + "/"])
def test_the_bootstrap_key_is_for_the_running_stack(running: Path, url: str | None) -> None:
    gateway = find_gateway(settings_from(data_dir=running, url=url))
    assert (gateway.url, gateway.api_key) == (OWN_URL, "bootstrap")


def test_the_bootstrap_key_is_told_to_no_other_address(running: Path, tmp_path: Path) -> None:
    for data_dir in (running, tmp_path / "no stack"):
        settings = settings_from(data_dir=data_dir, url="https://rag.example.com")
        with pytest.raises(CommandError, match="no API key") as caught:
            find_gateway(settings)
        assert "RAGP_API_KEY" in str(caught.value.cure)


def test_a_key_of_the_settings_goes_anywhere(tmp_path: Path) -> None:
    settings = settings_from(data_dir=tmp_path, url="https://rag.example.com/", api_key="k")
    gateway = find_gateway(settings)
    assert (gateway.url, gateway.api_key) == ("https://rag.example.com", "k")
