"""Conversations, the answers in and outside of them, and what callers say of these."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UPGRADE = (
    """
    CREATE TABLE conversations (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        -- the caller's name within the tenant; nobody else sees the row
        owner text NOT NULL,
        -- null: the first question will give it
        title text,
        -- answers so far; the row's lock gives each of them its position
        answers integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX conversations_list ON conversations (tenant, owner, updated_at DESC, id DESC)",
    "CREATE INDEX conversations_untouched ON conversations (updated_at)",
    "CREATE INDEX conversations_empty ON conversations (updated_at) WHERE answers = 0",
    """
    CREATE TABLE answers (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        owner text NOT NULL,
        conversation_id uuid REFERENCES conversations (id) ON DELETE CASCADE,
        position integer,
        question text NOT NULL,
        standalone text NOT NULL,
        text text NOT NULL,
        citations jsonb NOT NULL,
        -- of its passages, whether they are cited or not. No reference: a document may go
        documents uuid[] NOT NULL,
        -- positions of the earlier answers that the text may repeat: those that were before the model
        history integer[] NOT NULL,
        answered boolean NOT NULL,
        adapter text NOT NULL,
        model text,
        prompt_version text NOT NULL,
        degraded boolean NOT NULL,
        cached boolean NOT NULL,
        timings_ms jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (conversation_id, position),
        CHECK ((conversation_id IS NULL) = (position IS NULL))
    )
    """,
    "CREATE INDEX answers_alone ON answers (created_at) WHERE conversation_id IS NULL",
    """
    CREATE TABLE feedback (
        answer_id uuid NOT NULL REFERENCES answers (id) ON DELETE CASCADE,
        owner text NOT NULL,
        rating text NOT NULL CHECK (rating IN ('up', 'down')),
        comment text,
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (answer_id, owner)
    )
    """,
)
DOWNGRADE = ("DROP TABLE feedback, answers, conversations",)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
