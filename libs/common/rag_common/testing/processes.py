"""Starting and stopping one server process."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

START_SECONDS = 30.0


class ServerProcess:
    """A child process with its output in a file. Killed by :meth:`stop` if it does not end by itself."""

    def __init__(self, command: Sequence[str], log: Path, *, user: tuple[int, int] | None = None) -> None:
        uid, gid = user or (None, None)
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                user=uid,
                group=gid,
                extra_groups=[] if user else None,
            )
        self._name = command[0]
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """:raises RuntimeError: the process ended or took too long; the message holds its output."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                what = "ended" if ended else "took too long to start"
                raise RuntimeError(f"{self._name} {what}: {self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals) -> None:
        """Send the signal and wait for the end, at most ten seconds; then kill."""
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
