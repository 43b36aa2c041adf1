"""Steps of a start that are no processes to supervise."""

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from typing import Any

from ragp.errors import StackError
from ragp.stack.process import inherited_environment
from ragp.stack.state import DataDirectory

_COMMAND_SECONDS = 120.0


async def run_command(directory: DataDirectory, name: str) -> None:
    """Run ``ragp NAME`` in a process of its own: its drivers stay out of the supervisor's memory.

    :raises StackError: it failed, or took longer than two minutes.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ragp", name, "--data-dir", str(directory.root),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=inherited_environment(), cwd="/",
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _COMMAND_SECONDS)
    except TimeoutError as error:
        raise StackError(f"`ragp {name}` takes longer than {_COMMAND_SECONDS:.0f} s") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode != 0:
        raise StackError(f"`ragp {name}` failed:\n{output.decode(errors='replace').strip()}")


async def together(*steps: Coroutine[Any, Any, None]) -> None:
    """Run at the same time; the first failure cancels the others and is raised."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
