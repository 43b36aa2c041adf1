"""Which files a command takes, and what it makes of its options."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragp.errors import CommandError
from ragp.files import find_files, parse_metadata
from ragp.following import unreadable_outcomes
from ragp.outcomes import print_summary


def test_directories_are_walked_in_order_without_what_is_hidden(tmp_path: Path) -> None:
    for name in ("b.md", "a.md", ".hidden", "sub/c.md", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    names = [file.path.relative_to(tmp_path).as_posix() for file in find_files([tmp_path]).files]
    assert names == ["a.md", "b.md", "sub/c.md"]


def test_a_named_file_is_taken_once_even_if_hidden(tmp_path: Path) -> None:
    hidden = tmp_path / ".notes"
    hidden.write_text("x")
    (tmp_path / "a.md").write_text("x")
    files = find_files([hidden, tmp_path, tmp_path / "a.md"]).files
    assert [file.path.name for file in files] == [".notes", "a.md"]


def test_the_source_uri_is_absolute_and_free_of_odd_characters(tmp_path: Path) -> None:
    odd = tmp_path / "Отпуск\n2024 💡.md"
    odd.write_text("x")
    (file,) = find_files([odd]).files
    assert file.source_uri.startswith("file:///")
    assert file.source_uri.isascii()
    assert file.source_uri.isprintable()


def test_nothing_to_ingest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no files"):
        find_files([tmp_path])
    with pytest.raises(CommandError, match="there is no"):
        find_files([tmp_path / "missing"])


NOBODY = 65534


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A directory, and no right to look into what forbids it: root loses its own."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    as_root = os.geteuid() == 0
    if as_root:
        os.chown(directory, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield directory
    if as_root:
        os.seteuid(0)
    for root, _, _ in os.walk(directory):
        for child in Path(root).iterdir():
            child.chmod(0o700)
    shutil.rmtree(directory)


def test_a_directory_that_cannot_be_read_is_told(unprivileged: Path) -> None:
    (unprivileged / "open.md").write_text("x")
    closed = unprivileged / "closed"
    closed.mkdir()
    (closed / "secret.md").write_text("x")
    closed.chmod(0)
    files, unreadable = find_files([unprivileged, closed / "secret.md"])
    assert [file.path.name for file in files] == ["open.md"]
    assert unreadable == {closed: "Permission denied", closed / "secret.md": "Permission denied"}


def test_a_name_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("x")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.md"))
    odd.write_text("x")
    files, unreadable = find_files([tmp_path])
    assert [file.path.name for file in files] == ["good.md"]
    assert unreadable == {odd: "its name is not UTF-8"}
    print_summary(unreadable_outcomes(unreadable))


def test_metadata_values_are_json_where_they_can_be() -> None:
    pairs = ["year=2026", "draft=true", "title=a=b", "tags=[1, 2]", "empty="]
    expected = {"year": 2026, "draft": True, "title": "a=b", "tags": [1, 2], "empty": ""}
    assert parse_metadata(pairs) == expected


@pytest.mark.parametrize("pair", ["novalue", "=value"])
def test_metadata_without_a_key_is_refused(pair: str) -> None:
    with pytest.raises(CommandError, match="key=value"):
        parse_metadata([pair])


@given(st.dictionaries(st.text(min_size=1).filter(lambda key: "=" not in key), st.integers()))
def test_metadata_round_trip(metadata: dict[str, int]) -> None:
    assert parse_metadata([f"{key}={value}" for key, value in metadata.items()]) == metadata
