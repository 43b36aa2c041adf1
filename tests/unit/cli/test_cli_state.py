"""The data directory's records."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ragp.errors import StackError
from ragp.stack.state import (
    LOOPBACK,
    DataDirectory,
    ProcessRecord,
    RunRecord,
    StackState,
    living_process,
    port_is_free,
    write_private,
)


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    made = DataDirectory(tmp_path / "data")
    made.create()
    return made


def run_record(pid: int, created: float) -> RunRecord:
    entry = ProcessRecord(name="nats", pid=pid, created=created, port=4222, state="ready", restarts=0)
    return RunRecord(pid=pid, created=created, started_at=0, ready=True, url="http://x", processes=(entry,))


def test_ports_and_secrets_survive_a_restart(directory: DataDirectory) -> None:
    first = StackState.load(directory)
    ports = [first.assign_port(name) for name in ("nats", "postgres", "nats")]
    secret = first.secret("postgres")
    first.save(directory)
    second = StackState.load(directory)
    assert [second.assign_port(name) for name in ("nats", "postgres", "nats")] == ports
    assert second.secret("postgres") == secret
    assert ports[0] == ports[2] != ports[1]


def test_a_remembered_port_that_is_taken_gives_way(directory: DataDirectory) -> None:
    state = StackState.load(directory)
    port = state.assign_port("nats")
    with socket.socket() as other:
        other.bind((LOOPBACK, port))
        assert not port_is_free(port)
        assert state.assign_port("nats") != port


def test_the_port_of_the_gateway_is_assigned_to_nobody_else(directory: DataDirectory) -> None:
    state = StackState.load(directory)
    port = state.assign_port("nats")
    state.reserve(port)
    assert state.assign_port("nats") != port
    assert "reserved" not in state.model_dump_json()


def test_what_holds_secrets_is_readable_by_its_owner_alone(directory: DataDirectory) -> None:
    StackState(secrets={"postgres": "x"}).save(directory)
    assert stat.S_IMODE(directory.state_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.root.stat().st_mode) == 0o700


def test_a_damaged_state_file_is_not_replaced_by_new_passwords(directory: DataDirectory) -> None:
    directory.state_file.write_text("{")
    with pytest.raises(StackError, match="damaged"):
        StackState.load(directory)


def test_what_cannot_be_read_names_the_file(directory: DataDirectory) -> None:
    readers: dict[Path, Callable[[], object]] = {
        directory.api_key_file: directory.api_key,
        directory.run_file: lambda: RunRecord.load(directory),
        directory.state_file: lambda: StackState.load(directory),
    }
    for path, read in readers.items():
        path.mkdir()
        with pytest.raises(StackError, match=f"{path.name} cannot be read"):
            read()


def test_a_data_directory_that_cannot_be_made_names_the_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError) as caught:
        DataDirectory(tmp_path / "file" / "data").create()
    assert "--data-dir" in str(caught.value.cure)


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "record"
    write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\ud800")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["record"]


def test_a_pid_alone_is_not_a_process() -> None:
    own = psutil.Process()
    assert living_process(own.pid, own.create_time()) is not None
    assert living_process(own.pid, own.create_time() - 60) is None
    assert living_process(None, None) is None


def test_the_record_of_a_dead_supervisor_is_not_a_running_stack(directory: DataDirectory) -> None:
    own = psutil.Process()
    write_private(directory.run_file, run_record(own.pid, own.create_time() - 60).model_dump_json())
    assert RunRecord.load(directory) is not None
    assert RunRecord.of_running(directory) is None
    write_private(directory.run_file, run_record(own.pid, own.create_time()).model_dump_json())
    assert RunRecord.of_running(directory) is not None
