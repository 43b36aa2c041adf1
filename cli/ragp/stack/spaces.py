"""Which embedding spaces the stack's embedder serves: the active one, and the one that was asked for."""

import json
from dataclasses import dataclass

from ragp.errors import StackError
from ragp.stack.state import DataDirectory
from ragp.stack.steps import run_command


@dataclass(frozen=True)
class ServedSpaces:
    """``notice``: what is left to do before the space that was asked for can be used."""

    names: tuple[str, ...]
    notice: str | None = None


async def choose_spaces(directory: DataDirectory, wanted: str | None) -> ServedSpaces:
    """Ask the registry, and make ``wanted`` the active space if no document is missing in it.

    :raises StackError: the registry does not know the space, or cannot be read.
    """
    listed = json.loads(await run_command(directory, "spaces", "list", "--json"))
    known = {found["space"]["name"]: found for found in listed}
    active = next(name for name, found in known.items() if found["active"])
    if wanted is None or wanted == active:
        return ServedSpaces((active,))
    if wanted not in known:
        raise StackError(f"there is no embedding space {wanted!r}", cure=f"choose from {', '.join(known)}")
    missing = known[wanted]["live"] - known[wanted]["complete"]
    if not missing:
        await run_command(directory, "spaces", "use", wanted)
        return ServedSpaces((wanted,))
    notice = (
        f"{missing} documents are not in the space {wanted} yet, so {active} stays active;"
        f" next: ragp spaces fill {wanted}, then ragp spaces use {wanted}"
    )
    return ServedSpaces((active, wanted), notice)
