"""Which transaction changed a document or a collection last: answers made before it are not used again."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = ("documents", "collections")
UPGRADE = (
    # Ids of transactions, not a counter: a counter is taken before its change is visible, and a row that
    # counts would make all writers of a collection wait for each other.
    """
    CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.changed := pg_current_xact_id()::text::bigint;
        RETURN NEW;
    END $$
    """,
    *(f"ALTER TABLE {table} ADD COLUMN changed bigint NOT NULL DEFAULT 0" for table in TABLES),
    *(
        f"CREATE TRIGGER {table}_changed BEFORE INSERT OR UPDATE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION note_change()"
        for table in TABLES
    ),
    "CREATE INDEX documents_changed ON documents (collection_id, changed)",
)
DOWNGRADE = (
    "DROP INDEX documents_changed",
    *(f"DROP TRIGGER {table}_changed ON {table}" for table in TABLES),
    *(f"ALTER TABLE {table} DROP COLUMN changed" for table in TABLES),
    "DROP FUNCTION note_change()",
)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
