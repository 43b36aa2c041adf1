"""Whether an answer that was made at one time still stands at another."""

from dataclasses import dataclass
from typing import Protocol

from rag_common.contracts.base import Value


class Position(Value):
    """A place in the history of documents and collections; ``database`` says of which database's."""

    database: str
    xmin: int
    active_space: str


@dataclass(frozen=True, slots=True)
class Look:
    """The position now, and whether anything has changed since an earlier one."""

    position: Position
    changed: bool


class Changes(Protocol):
    async def look(self, tenant: str, collections: tuple[str, ...], since: Position | None) -> Look:
        """Whether a document of these collections (none: of the tenant's) may have changed.

        Everything that was committed before the call counts. Without ``since`` everything has changed.

        :raises TransientError: the registry is unavailable.
        """
