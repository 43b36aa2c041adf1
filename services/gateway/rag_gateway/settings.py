"""The gateway's settings: the only reader of its environment."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from rag_common.contracts import EVERYONE, Principal, TenantId
from rag_common.settings import DatabaseSettings


class GatewaySettings(DatabaseSettings):
    """Settings of the gateway; see also those of every service."""

    api_key_file: Path = Field(
        Path("~/.local/share/ragp/api-key"),
        description="File of the bootstrap API key; created with mode 0600 at the first start.",
    )
    tenant: TenantId = Field("default", description="Tenant of the bootstrap API key.")
    bootstrap_principals: tuple[Principal, ...] = Field(
        (EVERYONE, "key:bootstrap"),
        min_length=1,
        description="Principals of the bootstrap API key, as a JSON list: what it may read in searches.",
    )
    max_upload_bytes: int = Field(
        512 * 1024 * 1024, ge=1, description="Most bytes that the files of one upload may have together."
    )
    max_json_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, description="Most bytes of a JSON request body, texts included."
    )
    body_timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds without a byte after which a request body, or the reader of an event stream,"
        " is given up.",
    )
    upload_timeout: float = Field(
        1800.0,
        gt=0,
        description="Seconds that an upload may take as a whole; at most half of `RAG_SWEEP_INTERVAL`.",
    )
    max_files: int = Field(100, ge=1, le=1000, description="Most files in one upload.")
    max_uploads: int = Field(
        64, ge=1, description="Uploads that one gateway receives at once; above it the answer is 503."
    )
    max_searches: int = Field(
        1000, ge=1, description="Searches that one gateway waits for at once; above it the answer is 503."
    )
    search_timeout: float = Field(
        10.0, gt=0, le=120, description="Seconds until a search without an answer ends in 504."
    )
    max_questions: int = Field(
        500, ge=1, description="Questions that one gateway waits for at once; above it the answer is 503."
    )
    ask_timeout: float = Field(
        60.0, gt=0, le=240, description="Seconds until a question without a complete answer ends in an error."
    )
    max_event_streams: int = Field(
        1000, ge=1, description="Event streams that one gateway serves at once; above it the answer is 503."
    )
    event_poll_interval: float = Field(
        5.0, gt=0, description="Seconds after which an event stream looks at the registry without a hint."
    )
    event_heartbeat: float = Field(
        15.0, gt=0, description="Seconds between two comments on an idle event stream."
    )
    answer_cache_seconds: int = Field(
        3600,
        ge=0,
        le=3600,
        description="Seconds for which an answer is kept for who asks the same again, unless documents or"
        " permissions change; 0 keeps none.",
    )
    answer_retention_days: int = Field(
        90,
        ge=1,
        le=36500,
        description="Days for which conversations are kept after their last answer, and answers outside of"
        " conversations, each with the feedback on it.",
    )
    reconcile_interval: float = Field(15.0, gt=0, description="Seconds between two turns of the reconciler.")
    reconcile_margin: float = Field(
        30.0,
        ge=0,
        description="Seconds by which work must be older than every queued message to count as lost.",
    )
    sweep_interval: float = Field(
        3600.0,
        ge=60,
        description="Seconds between two sweeps for orphan objects and points; an object is removed when"
        " two sweeps have found it orphaned.",
    )

    @model_validator(mode="after")
    def _sweeps_are_slower_than_uploads(self) -> Self:
        """An object without a row is removed by the second sweep; no upload may run since the first."""
        if self.upload_timeout > self.sweep_interval / 2:
            raise ValueError("RAG_UPLOAD_TIMEOUT must be at most half of RAG_SWEEP_INTERVAL")
        return self
