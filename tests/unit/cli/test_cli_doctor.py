"""The preflight."""

import socket
from pathlib import Path

import psutil
import pytest

from rag_common.registry import SpaceCoverage
from rag_common.spaces import E5_SMALL, MINILM
from ragp.commands.doctor import Finding, coverage_finding, examine
from ragp.reading import judge
from ragp.stack.state import LOOPBACK, DataDirectory, RunRecord, free_port, write_private


def findings(directory: DataDirectory, port: int, database_url: str | None = None) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(directory, port, database_url)}


def test_a_fit_machine(tmp_path: Path) -> None:
    port = free_port()
    found = findings(DataDirectory(tmp_path / "data"), port)
    assert found["model weights"].verdict == "ok"
    assert found["nats-server"].verdict == "ok"
    assert found[f"port {port}"].verdict == "ok"
    assert "will be created" in found["data directory"].detail
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("languages", [None, "eng", "eng\nrus"])
def test_tesseract_and_its_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, languages: str | None
) -> None:
    if languages is not None:
        program = tmp_path / "tesseract"
        program.write_text(f"#!/bin/sh\necho 'List of languages:\n{languages}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = findings(DataDirectory(tmp_path / "data"), free_port())["tesseract"]
    assert found.verdict == ("ok" if languages == "eng\nrus" else "warn")
    assert found.verdict == "ok" or "tesseract-ocr-rus" in str(found.cure)


def test_a_taken_port_fails_with_a_cure(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        found = findings(DataDirectory(tmp_path), port)[f"port {port}"]
    assert found.verdict == "fail"
    assert "--port" in str(found.cure)


def test_the_port_of_this_very_stack_is_no_problem(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    own = psutil.Process()
    with socket.socket() as gateway:
        gateway.bind((LOOPBACK, 0))
        port = gateway.getsockname()[1]
        url = f"http://{LOOPBACK}:{port}"
        record = RunRecord(pid=own.pid, created=own.create_time(), started_at=0, ready=True, url=url)
        write_private(directory.run_file, record.model_dump_json())
        assert findings(directory, port)[f"port {port}"].verdict == "ok"


def test_a_data_directory_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found = findings(DataDirectory(tmp_path), free_port())["data directory"]
    assert found.verdict == "warn"
    assert found.cure == f"chmod 700 {tmp_path}"


def test_a_registry_that_is_away_is_a_warning(tmp_path: Path) -> None:
    url = f"postgresql://nobody@{LOOPBACK}:{free_port()}/none"
    found = findings(DataDirectory(tmp_path), free_port(), url)["embedding space"]
    assert found.verdict == "warn"
    assert "unavailable" in found.detail


ENGLISH, RUSSIAN, GREEK, NUMBERS = "the foghorn", "отпуск 28 дней по NATS", "ένα κείμενο", "12 + 7"


def test_documents_that_no_search_finds_are_a_warning() -> None:
    found = coverage_finding(SpaceCoverage(MINILM, active=True, live=9, complete=7, unfinished=0))
    assert (found.verdict, found.cure) == ("warn", f"ragp spaces fill {MINILM.name}")
    assert "2 of 9" in found.detail
    assert coverage_finding(SpaceCoverage(MINILM, True, 7, 7, 3)).verdict == "ok"


def test_what_letters_cannot_tell_is_said(database_url: str, tmp_path: Path) -> None:
    found = findings(DataDirectory(tmp_path), free_port(), database_url)
    assert found["embedding space"].verdict == "ok"
    assert found["languages"].verdict == "ok"
    assert "by letters alone" in found["languages"].detail


def test_many_documents_that_the_model_does_not_read_are_counted_by_script() -> None:
    found = judge(MINILM, [ENGLISH, RUSSIAN, RUSSIAN, GREEK, NUMBERS])
    assert (found.sampled, found.unreadable) == (5, {"CYRILLIC": 2, "GREEK": 1})
    assert found.many_unreadable


def test_a_few_of_them_are_no_matter() -> None:
    assert not judge(MINILM, [ENGLISH] * 95 + [RUSSIAN] * 5).many_unreadable
    assert not judge(MINILM, []).many_unreadable


def test_a_multilingual_model_reads_them_all() -> None:
    assert judge(E5_SMALL, [ENGLISH, RUSSIAN, GREEK, NUMBERS]).unreadable == {}
