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


async def run_command(directory: DataDirectory, *arguments: str) -> str:
    """Run ``ragp ARGUMENTS`` in a process of its own: its drivers stay out of the supervisor's memory.

    Returns what it has printed.

    :raises StackError: it failed, or took longer than two minutes.
    """
    command = " ".join(("ragp", *arguments))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ragp", *arguments, "--data-dir", str(directory.root),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=inherited_environment(), cwd="/",
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _COMMAND_SECONDS)
    except TimeoutError as error:
        raise StackError(f"`{command}` takes longer than {_COMMAND_SECONDS:.0f} s") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    printed = output.decode(errors="replace")
    if process.returncode != 0:
        raise StackError(f"`{command}` failed:\n{printed.strip()}")
    return printed


async def together(*steps: Coroutine[Any, Any, object]) -> None:
    """Run at the same time; the first failure cancels the others and is raised."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
