"""The PostgreSQL that tests run, where the environment lies in a directory that only root may enter."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rag_common.embedded import postgres_bin_dir

START = """
from rag_common.testing import PostgresServer
with PostgresServer():
    print("up")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run PostgreSQL as somebody else")
def test_a_server_starts_from_a_directory_that_its_user_cannot_enter(tmp_path: Path) -> None:
    """The programs were copied without the libraries that stand beside them."""
    package = postgres_bin_dir().parents[1]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for directory in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(directory, closed / directory.name, symlinks=True)
    run = subprocess.run(
        [sys.executable, "-c", START],
        env={**os.environ, "PYTHONPATH": str(closed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "up\n", run.stderr
