"""Every reason that a search may give for less than was asked is told in Russian."""

import re
from functools import cache
from itertools import product

import pytest

from rag_common.catalogue import Template
from rag_common.i18n import translate
from scripts.collecting import Key
from scripts.messages import collected

ENCODING = (
    "services/retriever/rag_retriever/adapters/embedder.py",
    "services/retriever/rag_retriever/domain/questions.py",
)
RERANKING = (
    "services/retriever/rag_retriever/adapters/reranker.py",
    "services/retriever/rag_retriever/domain/reranking.py",
)
REFUSALS = ("services/embedder/rag_embedder/handlers.py", "services/embedder/rag_embedder/domain")
SHORT = "only 2 of 9 passages fit into one answer"


@cache
def messages() -> dict[Key, set[str]]:
    return collected().places


def said_by(*places: str) -> list[str]:
    """Messages of these modules, with Greek in their places: Latin letters then tell what stays English."""
    templates = [
        Template.of(key.msgid)
        for key, found in messages().items()
        if any(each.startswith(place) for each in found for place in places)
    ]
    return [template.filled(dict.fromkeys(template.fields, "λ")) for template in templates]


def english(text: str) -> list[str]:
    """Words that are no names of ours."""
    return [
        word
        for word in re.findall(r"[A-Za-z_]{2,}", text)
        if word not in ("NATS", "RAG_SPACES", "RAG_RERANKER", "RAG_RERANKER_PATH")
    ]


def test_the_reasons_are_found() -> None:
    assert {"no embedder is running"} <= set(said_by(*ENCODING))
    assert {"no embedder with a reranker is running", "not reranked: λ"} <= set(said_by(*RERANKING))
    assert SHORT.replace("2", "λ").replace("9", "λ") in said_by(
        "services/retriever/rag_retriever/domain/shortening.py"
    )
    assert "the λ waited more than λ s for the encoder" in said_by(*REFUSALS)


@pytest.mark.parametrize(
    ("beginning", "modules"), [("only lexical search: ", ENCODING), ("not reranked: ", RERANKING)]
)
def test_every_reason_is_translated(beginning: str, modules: tuple[str, str]) -> None:
    causes = [said for said in said_by(*modules) if not said.startswith(beginning)]
    causes += [f"the embedder refuses: {refusal}" for refusal in said_by(*REFUSALS)]
    for cause, cut in product(causes, (False, True)):
        reason = f"{beginning}{cause}; {SHORT}" if cut else f"{beginning}{cause}"
        assert english(translate(reason, "ru")) == [], reason


def test_what_is_not_known_leaves_the_rest_translated() -> None:
    told = translate(f"only lexical search: who knows; not reranked: who knows; {SHORT}", "ru")
    assert english(told) == ["who", "knows", "who", "knows"]
