"""The document registry: documents, generations, chunks, batches, transitions, spaces."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE installation (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    active_space text NOT NULL,
    -- written by the ingest service at start; decides whether the same bytes are still unchanged
    pipeline_fingerprint text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE spaces (
    name text PRIMARY KEY,
    model text NOT NULL,
    dimension integer NOT NULL CHECK (dimension > 0),
    query_prefix text NOT NULL DEFAULT '',
    passage_prefix text NOT NULL DEFAULT '',
    languages text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO spaces (name, model, dimension, languages)
VALUES ('all-minilm-l6-v2', 'sentence-transformers/all-MiniLM-L6-v2', 384, '{en}');
INSERT INTO installation (active_space) VALUES ('all-minilm-l6-v2');

CREATE TABLE collections (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant text NOT NULL,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX collections_name ON collections (tenant, name) WHERE deleted_at IS NULL;
CREATE INDEX collections_tombstones ON collections (tenant, name) WHERE deleted_at IS NOT NULL;

CREATE TABLE documents (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    collection_id uuid NOT NULL REFERENCES collections (id),
    source_uri text NOT NULL,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'deleting', 'deleted')),
    title text NOT NULL,
    metadata jsonb NOT NULL,
    acl text[] NOT NULL CHECK (cardinality(acl) > 0),
    -- grows with every change of ACL or metadata; the index has applied indexed_acl_version
    acl_version integer NOT NULL DEFAULT 1,
    indexed_acl_version integer NOT NULL DEFAULT 0,
    latest_generation integer NOT NULL DEFAULT 0,
    live_generation integer,
    -- last accepted wins: the stream's timestamp (ns) and sequence of a drop, the commit of an upload
    order_ns bigint NOT NULL DEFAULT 0,
    order_seq bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    purge_receipt jsonb
);
CREATE UNIQUE INDEX documents_source ON documents (collection_id, source_uri) WHERE state = 'active';
CREATE INDEX documents_tombstones ON documents (collection_id, source_uri) WHERE state <> 'active';
CREATE INDEX documents_list ON documents (tenant, created_at DESC, id DESC);
CREATE INDEX documents_deleting ON documents (updated_at) WHERE state = 'deleting';
CREATE INDEX documents_acl_pending ON documents (updated_at)
    WHERE state = 'active' AND acl_version > indexed_acl_version;

CREATE TABLE generations (
    document_id uuid NOT NULL REFERENCES documents (id),
    generation integer NOT NULL CHECK (generation > 0),
    state text NOT NULL,
    lane text NOT NULL,
    content_sha256 text NOT NULL,
    size bigint NOT NULL,
    media_type text,
    file_name text,
    upload_id text NOT NULL,
    fingerprint text,
    chunk_count integer,
    batch_count integer,
    stage text,
    attempts integer NOT NULL DEFAULT 0,
    error_code text,
    error_message text,
    warnings text[] NOT NULL DEFAULT '{}',
    order_ns bigint NOT NULL,
    order_seq bigint NOT NULL,
    -- what the document was before this generation was accepted; a refused publish restores it
    previous jsonb NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    purged_at timestamptz,
    PRIMARY KEY (document_id, generation)
);
CREATE INDEX generations_unfinished ON generations (queued_at)
    WHERE state IN ('accepted', 'parsing', 'embedding');
CREATE INDEX generations_unpurged ON generations (updated_at)
    WHERE state IN ('failed', 'rejected', 'superseded') AND purged_at IS NULL;
CREATE INDEX generations_order ON generations (order_ns, order_seq);
CREATE INDEX generations_upload ON generations (upload_id);

CREATE TABLE chunks (
    document_id uuid NOT NULL,
    generation integer NOT NULL,
    no integer NOT NULL,
    text text NOT NULL,
    page integer,
    start_offset integer NOT NULL,
    end_offset integer NOT NULL,
    heading text[] NOT NULL,
    batch integer NOT NULL,
    PRIMARY KEY (document_id, generation, no),
    FOREIGN KEY (document_id, generation) REFERENCES generations (document_id, generation)
);

CREATE TABLE batches (
    space text NOT NULL REFERENCES spaces (name),
    document_id uuid NOT NULL,
    generation integer NOT NULL,
    batch integer NOT NULL,
    acl_version integer NOT NULL,
    PRIMARY KEY (space, document_id, generation, batch),
    FOREIGN KEY (document_id, generation) REFERENCES generations (document_id, generation)
);

CREATE TABLE transitions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_id uuid NOT NULL REFERENCES documents (id),
    generation integer NOT NULL,
    from_state text,
    to_state text NOT NULL,
    stage text,
    code text,
    message text,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX transitions_document ON transitions (document_id, id);

CREATE TABLE idempotency_keys (
    tenant text NOT NULL,
    caller text NOT NULL,
    key text NOT NULL,
    request_hash text NOT NULL,
    response jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, caller, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
"""

DOWNGRADE = """
DROP TABLE idempotency_keys, transitions, batches, chunks, generations, documents, collections,
    spaces, installation;
"""


def upgrade() -> None:
    _run(UPGRADE)


def downgrade() -> None:
    _run(DOWNGRADE)


def _run(script: str) -> None:
    # asyncpg prepares every statement, and a prepared statement holds one command
    lines = (line for line in script.splitlines() if not line.lstrip().startswith("--"))
    for statement in "\n".join(lines).split(";"):
        if statement.strip():
            op.execute(statement)
