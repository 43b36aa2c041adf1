"""What a killed supervisor has left behind."""

import contextlib
import os
import signal

import psutil

from ragp.stack.state import DataDirectory, RunRecord

_STOP_SECONDS = 15.0


def end_orphans(directory: DataDirectory) -> list[str]:
    """End the processes that a dead supervisor has started; returns their names.

    Only processes of the recorded pid *and* creation time are touched.
    """
    record = RunRecord.load(directory)
    if record is None or record.supervisor() is not None:
        return []
    survivors = {entry.name: process for entry in record.processes if (process := entry.process())}
    trees = [process for root in survivors.values() for process in _tree(root)]
    for name, process in survivors.items():
        # PostgreSQL takes SIGINT for a fast shutdown, and would wait for clients on SIGTERM.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
    _, stubborn = psutil.wait_procs(trees, timeout=_STOP_SECONDS)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=5.0)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(directory.run_file)
    return list(survivors)


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
