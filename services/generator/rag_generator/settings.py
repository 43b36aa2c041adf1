"""The generator's settings."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from rag_common.settings import ServiceSettings

OLLAMA_MODEL = "qwen2.5:3b"
"""Small enough for a machine without a GPU; reads and writes Russian."""


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    return url.rstrip("/")


HttpUrl = Annotated[str, AfterValidator(_http_url)]


class GeneratorSettings(ServiceSettings):
    """``RAG_`` + the field's name in capitals."""

    answer_workers: int = Field(
        16,
        ge=1,
        le=512,
        description="Questions that one process works on at a time; more wait in the stream QUERY.",
    )
    prompts_dir: Path | None = Field(
        None, description="Directory of prompt templates that take the place of the built-in ones."
    )
    encode_timeout: float = Field(
        2.0, gt=0, description="Seconds that the embedder has for the sentences of an answer."
    )
    llm: Literal["auto", "ollama", "openai", "extractive"] = Field(
        "auto",
        description="Who writes the answers: ollama, openai (any OpenAI-compatible endpoint), extractive"
        " (nobody: sentences are quoted), or auto: Ollama where it answers and has the model, else"
        " extractive.",
    )
    llm_model: str | None = Field(
        None,
        min_length=1,
        description=f"Model that writes the answers; none: {OLLAMA_MODEL} of Ollama. openai needs a name.",
    )
    ollama_url: HttpUrl = Field("http://127.0.0.1:11434", description="Ollama.")
    ollama_keep_alive: str = Field(
        "30m",
        pattern="^(0|-?[0-9]+(ms|s|m|h))$",
        description="How long Ollama keeps the model loaded after its last answer; -1m: for ever.",
    )
    openai_url: HttpUrl | None = Field(
        None, description="Base URL of the OpenAI-compatible endpoint, with its /v1."
    )
    openai_api_key: SecretStr | None = Field(None, description="Its key, if it wants one.")
    llm_context_tokens: int = Field(
        8192,
        ge=2048,
        le=1_048_576,
        description="Tokens of prompt and answer together. Ollama loads the model with this context;"
        " an OpenAI-compatible endpoint must have been started with at least as much.",
    )
    llm_max_tokens: int = Field(
        512, ge=16, le=8192, description="Tokens of an answer, at most, where the question asks for no other."
    )
    llm_concurrency: int = Field(
        2, ge=1, le=1024, description="Answers that the endpoint writes at a time for this process."
    )
    llm_first_token_timeout: float = Field(
        25.0,
        gt=0,
        description="Seconds that a question waits for its turn at the endpoint, and then again for the first"
        " token; after them sentences are quoted instead.",
    )
    llm_idle_timeout: float = Field(
        15.0, gt=0, description="Seconds between two tokens after which an answer is given up."
    )

    @model_validator(mode="after")
    def _endpoint_described(self) -> Self:
        if self.llm == "openai" and (self.openai_url is None or self.llm_model is None):
            raise ValueError("RAG_LLM=openai needs RAG_OPENAI_URL and RAG_LLM_MODEL")
        if self.llm_max_tokens > self.llm_context_tokens // 2:
            raise ValueError("RAG_LLM_MAX_TOKENS must leave half of RAG_LLM_CONTEXT_TOKENS to the prompt")
        return self
