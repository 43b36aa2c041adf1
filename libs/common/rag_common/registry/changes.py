"""Whether documents or collections have changed since a position: what was made then may be stale.

Each row holds the id of the transaction that changed it last (``changed``, by a trigger). A counter or a
time would be taken before the change is visible, and whoever looks in between would miss it. So a position
is the oldest transaction that was still running then (``xmin`` of the snapshot): all older ones had ended and
were visible, whatever a later one has changed counts as new. That is never too late, and too early only for
changes that were committed while an older transaction was still open.
"""

from dataclasses import dataclass

from rag_common.errors import TransientError
from rag_common.registry.database import Database

_LOOK = """
    SELECT pg_snapshot_xmin(now.snapshot)::text::bigint AS xmin,
        installation.id, installation.active_space, pg_postmaster_start_time() AS started,
        (SELECT oid FROM pg_database WHERE datname = current_database()) AS database,
        ARRAY(SELECT oid FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND NOT tgisinternal
              AND (tgrelid, tgname) IN (('documents'::regclass, 'documents_changed'),
                                        ('collections'::regclass, 'collections_changed'))
              ORDER BY tgname) AS triggers,
        EXISTS (
            SELECT FROM collections c
            -- one descent of the index per collection, which the planner would not choose by itself
            LEFT JOIN LATERAL (
                SELECT true AS found FROM documents d
                WHERE d.collection_id = c.id AND d.changed >= $3 AND d.changed < now.xmax LIMIT 1
            ) document ON true
            WHERE c.tenant = $1 AND (cardinality($2::text[]) = 0 OR c.name = ANY($2))
              AND (document.found OR (c.changed >= $3 AND c.changed < now.xmax))
        ) AS changed
    FROM installation, LATERAL (
        SELECT pg_current_snapshot() AS snapshot,
            -- rows of a dump keep numbers of another server, which may be ahead of this one's
            pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xmax
    ) now
"""
_NEVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of a database's transactions.

    ``database`` names the run of the server and the tables that ``xmin`` belongs to. A restored backup of
    files starts a new run; a restored dump has new tables, with new triggers: in both, transaction numbers
    that were in use before come again, or stand beside rows that are older than they say.
    """

    database: str
    xmin: int
    active_space: str


@dataclass(frozen=True, slots=True)
class Look:
    """The position now, and whether anything has changed since an earlier one."""

    position: Position
    changed: bool


class Changes:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self, tenant: str, collections: tuple[str, ...], since: Position | None = None) -> Look:
        """Whether a document of these collections, or one of them, has changed; deleted ones included.

        ``collections`` empty: any of the tenant's. Without ``since`` everything has changed. Another active
        space is a change, too.

        :raises TransientError: the registry is unavailable, or does not note changes (it is being restored).
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_LOOK, tenant, list(collections), since.xmin if since else _NEVER)
        if row is None or len(row["triggers"]) != 2:
            raise TransientError("the document registry does not note changes", code="registry_unavailable")
        triggers = "-".join(map(str, row["triggers"]))
        database = f"{row['id']}/{row['started'].timestamp():.6f}/{row['database']}/{triggers}"
        position = Position(database, row["xmin"], row["active_space"])
        return Look(position, since is None or row["changed"] or _elsewhere(since, position))


def _elsewhere(since: Position, now: Position) -> bool:
    """Whether the two cannot be compared; a position ahead of now comes from a machine that was set back."""
    return (since.database, since.active_space) != (now.database, now.active_space) or since.xmin > now.xmin
