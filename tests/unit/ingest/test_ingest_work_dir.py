"""Directories of processes that were killed are removed; those of living ones are not."""

import subprocess
import sys
from pathlib import Path

from rag_ingest.adapters.work_dir import private_directory

KEEPER = """
import sys
from pathlib import Path
from rag_ingest.adapters.work_dir import private_directory
with private_directory(Path(sys.argv[1])) as path:
    (path / "upload-1").write_text("words")
    print(path, flush=True)
    sys.stdin.read()
"""


def test_a_directory_is_private_and_removed_at_the_end(tmp_path: Path) -> None:
    with private_directory(tmp_path / "new") as first, private_directory(tmp_path / "new") as second:
        assert first != second
        (first / "upload-1").write_text("words")
        assert first.stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "new").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_no_sooner(tmp_path: Path) -> None:
    command = (sys.executable, "-c", KEEPER, str(tmp_path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        with private_directory(tmp_path):
            assert (left / "upload-1").exists()
        process.kill()
    assert (left / "upload-1").exists()
    with private_directory(tmp_path) as path:
        assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "rag-ingest-notes.txt").write_text("mine")
    (tmp_path / "rag-ingest-link").symlink_to(tmp_path)
    with private_directory(tmp_path):
        assert (tmp_path / "rag-ingest-notes.txt").read_text() == "mine"
        assert (tmp_path / "rag-ingest-link").is_symlink()
