"""A supervised process, with small scripts in the place of servers."""

import asyncio
import contextlib
import errno
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from ragp.errors import StackError
from ragp.stack.process import ProcessSpec, SupervisedProcess, bare_environment

SERVER = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text("up")
time.sleep(600)
"""
STUBBORN_PARENT = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(600)
"""
SUPERVISOR = """
import asyncio, pathlib, sys
from ragp.stack.process import ProcessSpec, SupervisedProcess
async def always():
    return True
async def main():
    log = pathlib.Path(sys.argv[1])
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    child = SupervisedProcess(ProcessSpec("sleeper", command, always, log), lambda _: None)
    await child.start()
    print(child.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture
async def supervise(tmp_path: Path) -> AsyncIterator[Callable[..., SupervisedProcess]]:
    """Makes a process that is ready when its script has written the file ``up``."""
    made: list[SupervisedProcess] = []
    up = tmp_path / "up"

    async def ready() -> bool:
        return up.exists()

    def make(script: str, **options: object) -> SupervisedProcess:
        command = (sys.executable, "-c", script, str(up))
        spec = ProcessSpec("server", command, ready, tmp_path / "server.log", **options)  # type: ignore[arg-type]  # options of several types
        made.append(SupervisedProcess(spec, lambda _: None))
        return made[-1]

    yield make
    for process in made:
        await process.stop()


async def gone(pid: int) -> None:
    """Returns when the process has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110 - it is not our child
            await asyncio.sleep(0.02)


async def test_what_dies_is_started_again(
    supervise: Callable[..., SupervisedProcess], tmp_path: Path
) -> None:
    process = supervise(SERVER)
    await process.start()
    first = process.pid
    (tmp_path / "up").unlink()
    process.kill()
    await process.wait_ready(20)
    assert process.pid != first
    assert (process.restarts, process.state) == (1, "ready")


async def test_what_never_starts_is_given_up_with_the_end_of_its_log(
    supervise: Callable[..., SupervisedProcess],
) -> None:
    process = supervise("import sys; sys.exit('no such option')")
    with pytest.raises(StackError, match="no such option"):
        await process.start()
    assert process.record().pid is None


async def test_what_is_not_ready_in_time_is_reported(supervise: Callable[..., SupervisedProcess]) -> None:
    process = supervise("import time; time.sleep(600)", start_seconds=0.3)
    with pytest.raises(StackError, match="not ready"):
        await process.start()


async def test_stopping_ends_a_stubborn_process_and_its_children(
    supervise: Callable[..., SupervisedProcess], tmp_path: Path
) -> None:
    process = supervise(STUBBORN_PARENT, stop_seconds=0.3)
    await process.start()
    parent, child = process.pid, int((tmp_path / "up").read_text())
    await process.stop()
    await asyncio.wait_for(gone(parent), 10)
    await asyncio.wait_for(gone(child), 10)
    assert process.state == "stopped"


async def test_what_a_crash_cost_is_restored_before_it_is_ready_again(
    supervise: Callable[..., SupervisedProcess],
) -> None:
    calls: list[str] = []

    async def restore() -> None:
        calls.append("restore")
        if len(calls) == 1:
            raise StackError("not yet")

    process = supervise(SERVER, after_restart=restore)
    await process.start()
    assert calls == []
    process.kill()
    await process.wait_ready(20)
    assert calls == ["restore", "restore"]


async def test_a_listener_without_disk_space_does_not_end_supervision(tmp_path: Path) -> None:
    up = tmp_path / "up"

    async def ready() -> bool:
        return up.exists()

    def no_space(_: SupervisedProcess) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    command = (sys.executable, "-c", SERVER, str(up))
    process = SupervisedProcess(ProcessSpec("server", command, ready, tmp_path / "log"), no_space)
    await process.start()
    up.unlink()
    process.kill()
    await process.wait_ready(20)
    pid = process.pid
    await process.stop()
    assert process.restarts == 1
    assert not psutil.pid_exists(pid)


async def test_what_cannot_be_prepared_is_tried_again(supervise: Callable[..., SupervisedProcess]) -> None:
    attempts: list[int] = []

    def prepare() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    process = supervise(SERVER, before_start=prepare)
    await process.start()
    assert (process.restarts, process.state) == (1, "ready")


async def test_a_program_that_is_no_service_gets_none_of_our_secrets(
    supervise: Callable[..., SupervisedProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_MODEL_API_KEY", "secret")
    monkeypatch.setenv("TZ", "UTC")
    process = supervise(SERVER, inherits=bare_environment)
    await process.start()
    environment = psutil.Process(process.pid).environ()
    assert "RAG_MODEL_API_KEY" not in environment
    assert environment["TZ"] == "UTC"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children about their parent's death")
async def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISOR, str(tmp_path / "log"), stdout=subprocess.PIPE
    )
    assert supervisor.stdout is not None
    child = int(await supervisor.stdout.readline())
    supervisor.kill()
    await supervisor.wait()
    await asyncio.wait_for(gone(child), 10)
