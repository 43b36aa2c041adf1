"""Bounded logs."""

from pathlib import Path

import pytest

from ragp.stack.logs import last_lines, rotate


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    log.write_text("x" * 100)
    assert not rotate(log, max_bytes=100)
    assert not rotate(tmp_path / "missing.log")
    assert log.read_text() == "x" * 100


def test_a_writer_goes_on_in_the_emptied_file(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    with open(log, "a") as writer:
        writer.write("old\n")
        writer.flush()
        assert rotate(log, max_bytes=3)
        writer.write("new\n")
    assert log.read_text() == "new\n"


def test_old_logs_are_numbered_cut_and_at_last_dropped(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    for number in range(5):
        log.write_text(f"{number}" * 20)
        assert rotate(log, max_bytes=10, kept=3)
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {
        "nats.log": "",
        "nats.log.1": "4" * 10,
        "nats.log.2": "3" * 10,
        "nats.log.3": "2" * 10,
    }


def test_a_log_that_cannot_be_copied_is_emptied_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    log.write_text("x" * 20)
    (tmp_path / "nats.log.1").mkdir()
    with pytest.raises(IsADirectoryError):
        rotate(log, max_bytes=10, kept=1)
    assert log.read_text() == ""


def test_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    assert last_lines(log) == ""
    log.write_text("\n".join(map(str, range(100))))
    assert last_lines(log, 3) == "97\n98\n99"
    assert last_lines(log, 0) == ""
    log.write_text("only")
    assert last_lines(log, 3) == "only"
