"""Which settings of the language model go together."""

import pytest
from pydantic import ValidationError

from rag_generator.settings import GeneratorSettings


def test_an_openai_endpoint_needs_an_address_and_a_model() -> None:
    with pytest.raises(ValidationError, match="RAG_OPENAI_URL and RAG_LLM_MODEL"):
        GeneratorSettings(llm="openai", openai_url="http://localhost/v1")
    with pytest.raises(ValidationError, match="RAG_OPENAI_URL and RAG_LLM_MODEL"):
        GeneratorSettings(llm="openai", llm_model="large")
    assert GeneratorSettings(
        llm="openai", openai_url="http://localhost/v1/", llm_model="large"
    ).openai_url == ("http://localhost/v1")


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://localhost", "http://"])
def test_an_address_names_protocol_and_host(url: str) -> None:
    with pytest.raises(ValidationError, match="must begin with http://"):
        GeneratorSettings(ollama_url=url)


@pytest.mark.parametrize("duration", ["30m", "0", "-1m", "1500ms"])
def test_a_duration_is_written_as_ollama_reads_it(duration: str) -> None:
    assert GeneratorSettings(ollama_keep_alive=duration).ollama_keep_alive == duration


@pytest.mark.parametrize("duration", ["-1", "30", "soon"])
def test_a_duration_that_ollama_would_refuse_is_refused_at_the_start(duration: str) -> None:
    with pytest.raises(ValidationError):
        GeneratorSettings(ollama_keep_alive=duration)


def test_an_answer_leaves_room_for_passages() -> None:
    with pytest.raises(ValidationError, match="RAG_LLM_MAX_TOKENS"):
        GeneratorSettings(llm_context_tokens=2048, llm_max_tokens=1100)
