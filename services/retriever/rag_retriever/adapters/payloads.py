"""The JSON object that a point carries; the same in both engines."""

from typing import Any

from rag_retriever.domain.index import ChunkKey, GenerationKey, Payload

KEY_FIELDS = ["document_id", "generation", "no"]
GENERATION_FIELDS = ["tenant", "document_id", "generation"]
# An engine's own type for a stored payload is an untyped object.
Stored = dict[str, Any]


def to_object(payload: Payload) -> Stored:
    """What is stored beside the vectors."""
    return {
        "tenant": payload.tenant,
        "collection_id": payload.collection_id,
        "document_id": payload.document_id,
        "generation": payload.generation,
        "no": payload.no,
        "acl": list(payload.acl),
        "meta": dict(payload.meta),
    }


def chunk_key(stored: Stored | None) -> ChunkKey:
    """From a payload with :data:`KEY_FIELDS`."""
    fields = stored or {}
    return ChunkKey(fields["document_id"], fields["generation"], fields["no"])


def generation_key(stored: Stored | None) -> GenerationKey:
    """From a payload with :data:`GENERATION_FIELDS`."""
    return GenerationKey(**{name: (stored or {})[name] for name in GENERATION_FIELDS})
