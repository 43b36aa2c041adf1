"""An embedded stack that is driven by the command line, as a user would."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx


class CliStack:
    """A stack on a data directory and a free port."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def ragp(self, *arguments: str | Path, code: int = 0) -> str:
        """Run a command of the command line; returns its standard output."""
        command = [sys.executable, "-m", "ragp", *map(str, arguments), "--data-dir", str(self.data_dir)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
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

    def pids(self) -> dict[str, int]:
        return {process["name"]: process["pid"] for process in self.status()["processes"]}

    def http(self) -> httpx.Client:
        key = self.ragp("key", "show").strip()
        return httpx.Client(
            base_url=self.status()["url"], headers={"Authorization": f"Bearer {key}"}, timeout=30
        )

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
