"""What the README tells a stranger to do works: its curl commands and the demo, on the embedded stack."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MARK = "<!-- tests/e2e/test_readme.py runs the next block"
RAGP = Path(sys.executable).with_name("ragp")

pytestmark = pytest.mark.timeout(240)


class Shell:
    """Runs commands in the root of the repository, with the data directory of the test's own stack."""

    def __init__(self, data_dir: Path) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAGP_")}
        self._environment = {**inherited, "RAGP_DATA_DIR": str(data_dir), "HF_HUB_OFFLINE": "1"}

    def run(self, *command: str | Path) -> str:
        result = subprocess.run(
            command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        return result.stdout


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """With the stack up, on a free port."""
    shell = Shell(tmp_path_factory.mktemp("readme") / "data")
    shell.run(RAGP, "up", "--detach", "--port", "0")
    yield shell
    shell.run(RAGP, "down")


def readme_block(url: str) -> str:
    """The marked block of the README, for this stack."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split(MARK)[1]
    found = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1].replace("http://localhost:8080", url).replace(".venv/bin/ragp", str(RAGP))


def wait_until_live(shell: Shell, collection: str, count: int) -> None:
    """The test's timeout is the deadline."""
    while True:
        documents = json.loads(shell.run(RAGP, "documents", "list", "-c", collection, "--json"))
        states = [document["state"] for document in documents]
        assert "failed" not in states
        if states == ["live"] * count:
            return
        time.sleep(0.2)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_commands_of_the_readme(shell: Shell) -> None:
    url = json.loads(shell.run(RAGP, "status", "--json"))["url"]
    before, after = readme_block(url).split("# What has become of them")
    variables = "\n".join(line for line in before.splitlines() if re.match("[A-Z]+=", line))
    strict = 'set -eu\ncurl() { command curl --fail-with-body "$@"; echo; }\n'

    shell.run("sh", "-c", strict + before)
    wait_until_live(shell, "staff", 2)
    listed, found, answer = shell.run("sh", "-c", f"{strict}{variables}\n#{after}").strip().splitlines()

    assert len(json.loads(listed)["items"]) == 2
    assert json.loads(found)["passages"][0]["title"] == "Coffee machine"
    assert "a firm push" in json.loads(answer)["citations"][0]["quote"]


def test_the_demo_finds_what_it_asks_for(shell: Shell) -> None:
    output = shell.run(sys.executable, "-m", "scripts.demo")
    assert "page 2" in output
    assert "The demo is over" in output
    assert "ragp search" in output
    assert "I found nothing about this in the documents." in output
