"""Commands when nothing runs."""

import subprocess
import sys
from pathlib import Path


def ragp(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ragp", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_commands_without_a_stack_name_the_cure(tmp_path: Path) -> None:
    for command in (["status"], ["search", "x"], ["ingest", __file__], ["key", "show"], ["provision"]):
        result = ragp(*command, "--data-dir", str(tmp_path / "none"))
        assert result.returncode == 1, result
        assert "ragp up" in result.stderr
        assert "Traceback" not in result.stderr
    down = ragp("down", "--data-dir", str(tmp_path / "none"))
    assert (down.returncode, "nothing is running" in down.stderr) == (0, True)
