"""The decision about offered bytes: are they new, and is nothing newer known? Last accepted wins."""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncpg import Record

from rag_common.contracts import EVERYONE, CollectionSettings, DocumentRef, pipeline_of
from rag_common.registry.access import set_access, upload_name
from rag_common.registry.collections import UnknownCollection
from rag_common.registry.orders import late, tombstone
from rag_common.registry.rows import UNFINISHED, Accepted, NewContent, Order
from rag_common.registry.transitions import NOW_NS

if TYPE_CHECKING:
    from rag_common.registry.database import Connection

_LOCK_DOCUMENT = """
    SELECT id FROM documents WHERE collection_id = $1 AND source_uri = $2 AND state = 'active'
    FOR NO KEY UPDATE
"""
# A statement of its own: one that waits for a lock would join the new document to old generations.
_SELECT_DOCUMENT = """
    SELECT d.*, g.state AS generation_state, g.content_sha256, g.fingerprint, g.upload_id,
           g.order_ns AS generation_order_ns, g.order_seq AS generation_order_seq,
           (SELECT pipeline_fingerprint FROM installation) AS pipeline, c.settings,
           EXISTS (
               WITH RECURSIVE inside AS (
                   SELECT id, latest_generation FROM documents WHERE parent_id = d.id AND state = 'active'
                   UNION
                   SELECT m.id, m.latest_generation FROM documents m JOIN inside ON m.parent_id = inside.id
                   WHERE m.state = 'active'
               )
               SELECT FROM inside JOIN generations f
               ON f.document_id = inside.id AND f.generation = inside.latest_generation
               WHERE f.state = 'failed'
           ) AS failed_inside
    FROM documents d
    JOIN collections c ON c.id = d.collection_id
    LEFT JOIN generations g ON g.document_id = d.id AND g.generation = d.latest_generation
    WHERE d.id = $1
"""

_PREVIOUS = ("latest_generation", "title", "order_ns", "order_seq")


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes in the object store under ``upload_id``, offered as a document."""

    content: NewContent
    upload_id: str


async def accept(
    connection: "Connection",
    tenant: str,
    upload: Upload,
    order: Order | None,
    container: uuid.UUID | None = None,
) -> Accepted:
    """A new document has the access of its ``container``, if it comes in one."""
    content = upload.content
    collection_id = await connection.fetchval(
        "SELECT id FROM collections WHERE tenant = $1 AND name = $2 AND deleted_at IS NULL",
        tenant,
        content.collection,
    )
    if collection_id is None:
        raise UnknownCollection(content.collection)
    document_id = await connection.fetchval(_LOCK_DOCUMENT, collection_id, content.source_uri)
    if document_id is None:
        if order is not None:
            buried = await tombstone(connection, tenant, content.collection, content.source_uri, order)
            if buried is not None:
                return _answer(buried, content, "superseded", buried["latest_generation"], state="deleted")
        await _insert_document(connection, tenant, collection_id, content, container)
        document_id = await connection.fetchval(_LOCK_DOCUMENT, collection_id, content.source_uri)
    row = await connection.fetchrow(_SELECT_DOCUMENT, document_id)
    assert row is not None  # noqa: S101 - inserted, or a concurrent insert was waited for
    seen = order and late(row, order)
    if seen:
        return _answer(row, content, seen, row["latest_generation"])
    if _same_bytes(row, content):
        return await _update(connection, row, content, order)
    return await _next_generation(connection, row, upload, order)


async def _insert_document(
    connection: "Connection",
    tenant: str,
    collection_id: uuid.UUID,
    content: NewContent,
    container: uuid.UUID | None,
) -> None:
    await connection.execute(
        """
        INSERT INTO documents (id, tenant, collection_id, source_uri, title, metadata, acl, access_pending,
            parent_id)
        SELECT $1, $2, $3, $4, $5, coalesce(c.metadata, $6), coalesce(c.acl, $7),
               coalesce(c.access_pending, '{}'), c.id
        FROM (VALUES (true)) AS one LEFT JOIN documents c ON c.id = $8
        ON CONFLICT (collection_id, source_uri) WHERE state = 'active' DO NOTHING
        """,
        uuid.uuid4(),
        tenant,
        collection_id,
        content.source_uri,
        content.title or content.file_name or content.source_uri,
        content.metadata or {},
        list(content.acl or (EVERYONE,)),
        container,
    )


def _same_bytes(row: Record, content: NewContent) -> bool:
    """The same bytes under the same pipeline and settings.

    A failed generation is always tried again; that of a member by way of all around it, unless a job that
    will do so is under way.
    """
    pipeline = pipeline_of(row["pipeline"], CollectionSettings.model_validate(row["settings"]))
    return (
        row["generation_state"] in (*UNFINISHED, "live")
        and (row["generation_state"] in ("accepted", "parsing") or not row["failed_inside"])
        and row["content_sha256"] == content.sha256
        and (row["fingerprint"] is None or row["fingerprint"] == pipeline)
    )


async def _write_document(
    connection: "Connection", row: Record, content: NewContent, generation: int, order: Order | None
) -> bool:
    """Apply the title and the order; whether the title has changed."""
    title = row["title"] if content.title is None else content.title
    # NOW_NS is a constant of this package
    await connection.execute(
        f"""
        UPDATE documents
        SET title = $2, latest_generation = $3, order_ns = coalesce($4, greatest({NOW_NS}, order_ns + 1)),
            order_seq = coalesce($5, 0), updated_at = clock_timestamp()
        WHERE id = $1
        """,  # noqa: S608
        row["id"],
        title,
        generation,
        order.time_ns if order else None,
        order.sequence if order else None,
    )
    return bool(title != row["title"])


def _access(content: NewContent) -> dict[str, Any]:
    return {"acl": list(content.acl) if content.acl is not None else None, "metadata": content.metadata}


async def _update(
    connection: "Connection", row: Record, content: NewContent, order: Order | None
) -> Accepted:
    retitled = await _write_document(connection, row, content, row["latest_generation"], order)
    reindex = await set_access(connection, row["id"], _access(content))
    outcome = "updated" if retitled or reindex else "unchanged"
    return _answer(row, content, outcome, row["latest_generation"], reindex=reindex)


async def _next_generation(
    connection: "Connection", row: Record, upload: Upload, order: Order | None
) -> Accepted:
    content = upload.content
    generation = await connection.fetchval(
        "SELECT coalesce(max(generation), 0) + 1 FROM generations WHERE document_id = $1", row["id"]
    )
    await _write_document(connection, row, content, generation, order)
    reindex = await set_access(connection, row["id"], _access(content), upload_name(row["id"], generation))
    previous = {name: row[name] for name in _PREVIOUS}
    previous["accepted_title"] = row["title"] if content.title is None else content.title
    await connection.execute(
        """
        WITH written AS (SELECT order_ns, order_seq FROM documents WHERE id = $1),
        added AS (
            INSERT INTO generations (document_id, generation, state, lane, content_sha256, size,
                media_type, file_name, upload_id, order_ns, order_seq, previous)
            SELECT $1, $2, 'accepted', $3, $4, $5, $6, $7, $8, order_ns, order_seq, $9 FROM written
        )
        INSERT INTO transitions (document_id, generation, to_state) VALUES ($1, $2, 'accepted')
        """,
        row["id"],
        generation,
        content.lane,
        content.sha256,
        content.size,
        content.media_type,
        content.file_name,
        upload.upload_id,
        previous,
    )
    return _answer(
        row, content, "accepted", generation, state="accepted", upload_id=upload.upload_id, reindex=reindex
    )


def _answer(
    row: Record,
    content: NewContent,
    outcome: Any,
    generation: int,
    *,
    state: Any = None,
    upload_id: str | None = None,
    reindex: bool = False,
) -> Accepted:
    return Accepted(
        outcome=outcome,
        document=DocumentRef(tenant=row["tenant"], document_id=str(row["id"]), generation=max(generation, 1)),
        state=state or row["generation_state"],
        collection=content.collection,
        source_uri=content.source_uri,
        upload_id=upload_id or row.get("upload_id"),
        reindex=reindex,
    )
