"""The settings of the embedder service."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from rag_common.settings import ServiceSettings
from rag_embedder.domain import Space

ServedLane = Literal["query", "interactive", "bulk"]


def _comma_separated(value: object) -> object:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


CommaSeparated = BeforeValidator(_comma_separated)


class EmbedderSettings(ServiceSettings):
    """``RAG_`` + the field's name in capitals. The defaults serve MiniLM from its wheel."""

    lanes: Annotated[tuple[ServedLane, ...], NoDecode, CommaSeparated, Field(min_length=1)] = Field(
        ("query", "interactive", "bulk"),
        description="Lanes that this process serves, separated by commas: query, interactive, bulk.",
    )
    space: str = Field("all-minilm-l6-v2", description="Embedding space that this process encodes for.")
    model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        description="Name of the space's model, as the registry has it.",
    )
    model_path: Path | None = Field(
        None, description="Directory of a SentenceTransformer model; none: MiniLM from its wheel."
    )
    model_sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the model's model.safetensors, checked at start; none: not checked,"
        " except for MiniLM from its wheel.",
    )
    dimension: int = Field(
        384, ge=1, description="Dimension of the space; a model of another one is refused."
    )
    query_prefix: str = Field("", description="Put in front of every question, as the model was trained.")
    passage_prefix: str = Field("", description="Put in front of every chunk, as the model was trained.")
    languages: Annotated[tuple[str, ...], NoDecode, CommaSeparated] = Field(
        ("en",), description="Languages that the model reads, as ISO 639-1 codes separated by commas."
    )
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="Number type of the model; auto: bfloat16 where the processor has it in hardware."
    )
    encoder_workers: int | None = Field(
        None, ge=1, le=64, description="Slices encoded at a time; none: one for each core, at most 4."
    )
    slice_tokens: int = Field(
        768, ge=64, le=65536, description="Most tokens that go through the model at once, padding included."
    )
    slice_seconds: float = Field(
        0.1, gt=0, description="A slice is cut to about this time, which a query may have to wait for."
    )
    bulk_share: float = Field(
        0.1, ge=0, le=0.5, description="Share of the work that a lower lane keeps while higher ones are busy."
    )
    max_waiting_texts: int = Field(
        4096, ge=64, description="Texts of one lane that may wait for the model; more are refused."
    )
    query_workers: int = Field(
        128,
        ge=1,
        le=1024,
        description="Requests for question vectors that are in the micro-batcher at a time.",
    )
    query_timeout: float = Field(
        2.0, gt=0, description="Seconds after which a request for question vectors is given up."
    )
    interactive_jobs: int = Field(
        16, ge=1, le=512, description="Interactive jobs that are in the micro-batcher at a time."
    )
    bulk_jobs: int = Field(64, ge=1, le=512, description="Bulk jobs that are in the micro-batcher at a time.")

    def vector_space(self) -> Space:
        """What the vectors of this process have in common."""
        return Space(
            name=self.space,
            model=self.model,
            dimension=self.dimension,
            query_prefix=self.query_prefix,
            passage_prefix=self.passage_prefix,
            languages=self.languages,
        )
