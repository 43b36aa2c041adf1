"""An embedded stack that is driven by the command line, as a user would."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from ragp.stack.state import DataDirectory, ProcessRecord, RunRecord


class CliStack:
    """A stack on a data directory and a free port."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._directory = DataDirectory(data_dir)

    def ragp(self, *arguments: str | Path, code: int = 0) -> str:
        """Run a command of the command line; returns its standard output."""
        command = [sys.executable, "-m", "ragp", *map(str, arguments), "--data-dir", str(self.data_dir)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAGP_")}
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert result.returncode == code, f"{arguments}\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.stderr
        return result.stdout

    def up(self) -> None:
        self.ragp("up", "--detach", "--port", "0")

    def down(self) -> None:
        self.ragp("down")

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.ragp("status", "--json"))
        return status

    def run_record(self) -> RunRecord:
        """What the supervisor says; quicker than asking for the status."""
        record = RunRecord.load(self._directory)
        assert record is not None
        return record

    def process(self, name: str) -> ProcessRecord:
        return next(process for process in self.run_record().processes if process.name == name)

    def pids(self) -> set[int]:
        """Of all processes, with their children."""
        roots = [psutil.Process(process.pid) for process in self.run_record().processes]
        return {member.pid for root in roots for member in (root, *root.children(recursive=True))}

    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self._directory.api_key()}"}
        return httpx.Client(base_url=self.run_record().url, headers=headers, timeout=30)

    def search(self, query: str, *options: str) -> list[dict[str, Any]]:
        passages: list[dict[str, Any]] = json.loads(self.ragp("search", query, "--json", *options))[
            "passages"
        ]
        return passages


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Returns when the condition holds; fails when it does not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.1)
