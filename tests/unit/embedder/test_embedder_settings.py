"""Which spaces a process serves, as the environment says."""

import pytest
from pydantic import ValidationError

from rag_common.spaces import BGE_M3, MINILM, Space
from rag_embedder.settings import EmbedderSettings


def test_spaces_are_names_of_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EmbedderSettings().spaces == (MINILM.name,)
    monkeypatch.setenv("RAG_SPACES", "all-minilm-l6-v2, bge-m3")
    monkeypatch.setenv("RAG_MODELS", '{"bge-m3": {"path": "/models/bge-m3"}}')
    settings = EmbedderSettings()
    assert [settings.space(name) for name in settings.spaces] == [MINILM, BGE_M3]
    assert str(settings.models["bge-m3"].path) == "/models/bge-m3"


def test_a_space_of_ones_own_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_SPACES", "mine")
    with pytest.raises(ValidationError, match="RAG_CUSTOM_SPACES"):
        EmbedderSettings()
    monkeypatch.setenv("RAG_CUSTOM_SPACES", '[{"name": "mine", "model": "me/mine", "dimension": 768}]')
    assert EmbedderSettings().space("mine") == Space("mine", "me/mine", 768)


def test_a_known_space_stays_what_it_is() -> None:
    other = Space(MINILM.name, "another/model", 3)
    assert EmbedderSettings(custom_spaces=(other,)).space(MINILM.name) == MINILM


def test_a_reranker_needs_its_model() -> None:
    with pytest.raises(ValidationError, match="RAG_RERANKER_PATH"):
        EmbedderSettings(reranker="some/cross-encoder")
