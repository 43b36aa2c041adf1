"""ACL and metadata of documents, which a change gives to everything inside the document, too.

A change that came with an upload holds at once, but is taken back when the queue refuses the upload's
job. So a document keeps what may yet be taken back: ``documents.access_pending`` has for each field the
changes in their order, ``[[null, value before], [upload, value], …]``, of which the last holds. One that
cannot be taken back any more becomes the value before, and those in front of it are forgotten.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asyncpg import Record

from rag_common.registry.descendants import lock_descendants

if TYPE_CHECKING:
    from rag_common.registry.database import Connection

_FIELDS = ("acl", "metadata")

History = list[tuple[str | None, Any]]
"""Oldest first: the upload that made each change, ``None`` for the value before them, and the value."""


class _Access:
    """One document's fields, as they are read, changed and written."""

    def __init__(self, row: Record) -> None:
        self.id: UUID = row["id"]
        self._before = {name: row[name] for name in _FIELDS}, row["access_pending"]
        self.history: dict[str, History] = {
            name: [(upload, value) for upload, value in row["access_pending"].get(name, [[None, row[name]]])]
            for name in _FIELDS
        }

    def value(self, field: str) -> Any:
        return self.history[field][-1][1]

    def uploads(self, field: str) -> set[str]:
        return {upload for upload, _ in self.history[field] if upload is not None}

    def insert(self, field: str, position: int, upload: str | None, value: Any) -> None:
        """A change that is older than those from ``position`` on; ``None``: not to be taken back."""
        newer = self.history[field][position:]
        older = self.history[field][:position] if upload is not None else []
        self.history[field] = [*older, (upload, value), *newer]

    def settle(self, unsettled: Collection[str]) -> None:
        """Forget which uploads have made the changes, unless they are ``unsettled``."""
        for field, history in self.history.items():
            last = max(no for no, (upload, _) in enumerate(history) if upload not in unsettled)
            self.history[field] = [(None, history[last][1]), *history[last + 1 :]]

    def take_back(self, upload: str) -> None:
        for field, history in self.history.items():
            self.history[field] = [change for change in history if change[0] != upload]

    @property
    def changed(self) -> bool:
        return self._before[0] != {name: self.value(name) for name in _FIELDS}

    @property
    def to_write(self) -> tuple[Any, ...] | None:
        """Id, ACL, metadata, what is pending, whether the index must follow; ``None``: nothing is new."""
        pending = {
            name: [list(change) for change in history]
            for name, history in self.history.items()
            if len(history) > 1
        }
        if not self.changed and pending == self._before[1]:
            return None
        return self.id, self.value("acl"), self.value("metadata"), pending, self.changed


async def set_access(
    connection: "Connection", document_id: UUID, offered: Mapping[str, Any], upload: str | None = None
) -> bool:
    """Set the ACL or metadata that are not ``None``; whether the index must follow.

    What changes is given to everything inside the document, whatever that had: a revocation must hold
    there too, so the container's last change wins. ``upload`` (of :func:`upload_name`) may be taken back.

    The caller has locked the document.
    """
    offered = {name: value for name, value in offered.items() if value is not None}
    (own,) = await _load(connection, [document_id])
    if all(value == own.value(name) and not own.uploads(name) for name, value in offered.items()):
        return False
    everything = [own, *await _load(connection, await lock_descendants(connection, [document_id]))]
    unsettled = await _unsettled(connection, everything)
    for each in everything:
        each.settle(unsettled)
    for name, value in offered.items():
        _put(everything, name, value, upload)
    await _write(connection, everything)
    return own.changed


async def take_back(connection: "Connection", document_id: UUID, upload: str) -> None:
    """Undo what the upload has changed, and nothing that was set since.

    The caller has locked the document.
    """
    inside = await lock_descendants(connection, [document_id])
    everything = await _load(connection, [document_id, *inside])
    for each in everything:
        each.take_back(upload)
    await _write(connection, everything)


def upload_name(document_id: object, generation: int) -> str:
    """Names the upload that has made a generation."""
    return f"{document_id}/{generation}"


async def _load(connection: "Connection", documents: list[UUID]) -> list[_Access]:
    rows = await connection.fetch(
        "SELECT id, acl, metadata, access_pending FROM documents WHERE id = ANY($1)", documents
    )
    return [_Access(row) for row in rows]


def _put(everything: list[_Access], field: str, value: Any, upload: str | None) -> None:
    own = everything[0]
    followed = None if value != own.value(field) else own.uploads(field)
    for each in everything:
        history = each.history[field]
        if followed is None:
            each.insert(field, len(history), upload, value)
            continue
        # The same value again: it has to stay when the uploads that have brought it are taken back, and
        # changes nothing where somebody has set another value since.
        places = [no for no, (earlier, _) in enumerate(history) if earlier in followed]
        if places:
            each.insert(field, places[-1] + 1, upload, value)


async def _unsettled(connection: "Connection", everything: list[_Access]) -> set[str]:
    """Of the uploads in the histories, those that may be taken back yet: no job has begun with them."""
    uploads = {upload for each in everything for field in _FIELDS for upload in each.uploads(field)}
    if not uploads:
        return set()
    keys = [upload.rsplit("/", 1) for upload in uploads]
    rows = await connection.fetch(
        "SELECT g.document_id, g.generation FROM generations g "
        "JOIN unnest($1::uuid[], $2::int[]) AS known (document_id, generation) "
        "ON (g.document_id, g.generation) = (known.document_id, known.generation) "
        "WHERE g.state = 'accepted'",
        [UUID(document) for document, _ in keys],
        [int(generation) for _, generation in keys],
    )
    return {upload_name(row["document_id"], row["generation"]) for row in rows}


async def _write(connection: "Connection", everything: list[_Access]) -> None:
    await connection.executemany(
        "UPDATE documents SET acl = $2, metadata = $3, access_pending = $4, "
        "acl_version = acl_version + $5::boolean::int, updated_at = clock_timestamp() WHERE id = $1",
        [row for each in everything if (row := each.to_write) is not None],
    )
