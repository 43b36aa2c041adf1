"""Which embedding spaces the stack's embedder serves: the active one, the one that was asked for, and those
that jobs may still wait for."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ragp.errors import StackError
from ragp.stack.state import DataDirectory
from ragp.stack.steps import run_command


@dataclass(frozen=True)
class ServedSpaces:
    """``notice``: what is left to do before the space that was asked for can be used."""

    names: tuple[str, ...]
    notice: str | None = None


async def choose_spaces(
    directory: DataDirectory, wanted: str | None, before: Sequence[str] = ()
) -> ServedSpaces:
    """Ask the registry, and make ``wanted`` the active space if no document is missing in it or on its way.

    ``before``: the spaces that were served when the stack ran last. While batches wait for an embedder
    they are served on: nobody else would take theirs. To be called before any service runs.

    :raises StackError: the registry does not know the space, or cannot be read.
    """
    listed = json.loads(await run_command(directory, "spaces", "list", "--json"))
    known = {found["space"]["name"]: found for found in listed}
    active = next(name for name, found in known.items() if found["active"])
    if wanted is not None and wanted not in known:
        raise StackError(f"there is no embedding space {wanted!r}", cure=f"choose from {', '.join(known)}")
    names, notice = [active], None
    if wanted is not None and wanted != active:
        notice = _obstacle(known[wanted], active)
        if notice is None:
            await run_command(directory, "spaces", "use", wanted)
            names = [wanted]
        else:
            names.append(wanted)
    earlier = [name for name in dict.fromkeys((active, *before)) if name in known and name not in names]
    if earlier and await _batches_wait(directory):
        names += earlier
    return ServedSpaces(tuple(names), notice)


def _obstacle(wanted: dict[str, Any], active: str) -> str | None:
    """Why the space cannot be used yet, and what to do; ``None``: it can."""
    name, missing, unfinished = (
        wanted["space"]["name"],
        wanted["live"] - wanted["complete"],
        wanted["unfinished"],
    )
    next_steps = f"next: ragp spaces fill {name}, then ragp spaces use {name}"
    notice: str | None = None
    if missing:
        notice = (
            f"{missing} documents are not in the space {name} yet, so {active} stays active; {next_steps}"
        )
    elif unfinished:
        notice = (
            f"{unfinished} documents are on their way to the space {active}, so it stays active;"
            f" when they are live, {next_steps}"
        )
    return notice


async def _batches_wait(directory: DataDirectory) -> bool:
    """Whether the embedder's queues hold jobs; also if they cannot be read."""
    queues = json.loads(await run_command(directory, "status", "--json"))["queues"]
    jobs = [
        queue["waiting"] + queue["working"] for queue in queues if queue["consumer"].startswith("embedder")
    ]
    return not jobs or any(jobs)
