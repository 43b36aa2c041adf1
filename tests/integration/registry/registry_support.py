"""Shorthand for walking documents through the registry."""

import uuid
from typing import Any

from rag_common.contracts import DocumentRef
from rag_common.registry import Accepted, ChunkRow, Completion, NewContent, Order, Registry, Upload

TENANT = "default"
SPACE = "all-minilm-l6-v2"


def upload(source_uri: str, sha256: str = "one", **fields: Any) -> Upload:
    collection = fields.pop("collection", "handbook")
    content = NewContent(collection, source_uri, sha256, len(sha256), fields.pop("lane", "bulk"), **fields)
    return Upload(content, upload_id=uuid.uuid4().hex)


async def accept(registry: Registry, source_uri: str, sha256: str = "one", **fields: Any) -> Accepted:
    accepted = await registry.accepting.uploads(TENANT, [upload(source_uri, sha256, **fields)])
    return accepted.items[0]


async def drop(registry: Registry, source_uri: str, sha256: str, order: Order, **fields: Any) -> Accepted:
    return await registry.accepting.drop(TENANT, upload(source_uri, sha256, **fields), order)


def chunk_rows(count: int, per_batch: int = 2) -> list[ChunkRow]:
    return [ChunkRow(no, f"text {no}", no * 10, no * 10 + 6, batch=no // per_batch) for no in range(count)]


async def embed(registry: Registry, document: DocumentRef, chunks: int = 4) -> int:
    """accepted → embedding; the number of batches."""
    await registry.ingesting.begin(document, 1)
    batches = (chunks + 1) // 2
    committed = await registry.ingesting.commit_chunks(
        document, chunk_rows(chunks), batches=batches, fingerprint="pipeline"
    )
    assert committed
    return batches


async def complete(registry: Registry, document: DocumentRef, batch: int) -> Completion:
    source = await registry.indexing.source(document, [batch * 2])
    version = source.acl_version if source else 0
    return await registry.indexing.complete(document, SPACE, batch, version)


async def make_live(registry: Registry, source_uri: str, sha256: str = "one", **fields: Any) -> DocumentRef:
    document = (await accept(registry, source_uri, sha256, **fields)).document
    for batch in range(await embed(registry, document)):
        completion = await complete(registry, document, batch)
    assert completion.outcome == "live"
    return document


async def found(registry: Registry, document: DocumentRef, *principals: str, no: int = 0) -> bool:
    key = (document.document_id, document.generation, no)
    admitted = await registry.passages.admitted(TENANT, principals or ("*",), (), [key])
    return key in admitted
