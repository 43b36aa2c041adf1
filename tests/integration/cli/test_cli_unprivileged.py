"""PostgreSQL's programs for an unprivileged user."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_common.embedded import postgres_bin_dir
from ragp.errors import StackError
from ragp.stack.unprivileged import as_user, reachable_programs, unprivileged_user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can enter, as pytest's own cannot."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)  # noqa: S103 - that is the point
        yield Path(name)


@pytest.fixture
def unreachable(tmp_path: Path) -> Path:
    """The programs of an installation below a private directory."""
    installed = postgres_bin_dir().parents[1]
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for package in (installed, installed.with_name(f"{installed.name}.libs")):
        shutil.copytree(package, private / package.name, ignore=shutil.ignore_patterns("include", "*.a"))
    return private / installed.name / "pginstall" / "bin"


def test_unreachable_programs_are_copied_once(unreachable: Path, public: Path) -> None:
    owner = unprivileged_user()
    reachable = reachable_programs(unreachable, owner, cache=public / "cache")
    assert reachable.is_relative_to(public)
    version = subprocess.run(
        as_user(owner, str(reachable / "initdb"), "--version"), capture_output=True, check=True, cwd="/"
    )
    assert version.stdout.startswith(b"initdb")
    made = reachable.stat().st_mtime_ns
    assert reachable_programs(unreachable, owner, cache=public / "cache") == reachable
    assert reachable.stat().st_mtime_ns == made
    assert reachable_programs(reachable, owner, cache=public / "other") == reachable


def test_where_no_copy_can_be_made_the_cure_is_named(unreachable: Path, public: Path) -> None:
    (public / "file").write_text("")
    with pytest.raises(StackError) as caught:
        reachable_programs(unreachable, unprivileged_user(), cache=public / "file" / "cache")
    assert "virtual environment" in str(caught.value.cure)
