"""The settings of the retriever service."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from rag_common.settings import DatabaseSettings


class RetrieverSettings(DatabaseSettings):
    """``RAG_`` + the field's name in capitals. The defaults are the embedded index."""

    index: Literal["edge", "qdrant"] = Field(
        "edge",
        description="Where the vectors are: edge (in this process) or qdrant (a server or cluster).",
    )
    edge_dir: Path = Field(
        Path("index"), description="Directory of the Qdrant Edge index; one process at a time can open it."
    )
    edge_flush_seconds: float = Field(
        5.0,
        gt=0,
        description="Seconds until a change of the Edge index is on the disk; it survives a crash at once.",
    )
    qdrant_url: str = Field("http://127.0.0.1:6333", description="Address of the Qdrant server or cluster.")
    qdrant_api_key: SecretStr | None = Field(None, description="API key of the Qdrant server.")
    qdrant_timeout: int = Field(10, ge=1, description="Seconds that a Qdrant server has for one operation.")
    query_workers: int = Field(64, ge=1, le=512, description="Queries that one process answers at a time.")
    upsert_workers: int = Field(4, ge=1, le=64, description="Batches that one process indexes at a time.")
    encode_timeout: float = Field(
        2.0, gt=0, description="Seconds that the embedder has for a question, each of two times."
    )
    encode_requests: int = Field(
        2, ge=1, le=64, description="Requests for question vectors under way at a time; others are merged."
    )
    reranker: str = Field(
        "",
        description="Cross-encoder that orders the best passages, by the name that the embedder has it under;"
        " empty: none.",
    )
    rerank_candidates: int = Field(
        30, ge=1, le=128, description="Passages that the reranker orders, unless a search wants more."
    )
    rerank_timeout: float = Field(
        3.0, gt=0, description="Seconds that the reranker has; after them a search goes on without it."
    )
    rewrite_timeout: float = Field(
        4.0,
        gt=0,
        description="Seconds that the generator's model has to make a follow-up standalone; after them the"
        " words of the conversation do.",
    )
