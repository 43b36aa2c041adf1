"""Which questions are the same: equal keys if, and only if, everything that an answer depends on is equal."""

import unicodedata
from dataclasses import fields, replace
from typing import Any

import pytest
from caching_support import ASK, ask
from hypothesis import given
from hypothesis import strategies as st

from rag_common.contracts import AnswerOptions, Eq, Turn
from rag_gateway.domain.answers import Ask
from rag_gateway.domain.cache_keys import Writer, cache_key, normalised, sharing_key

WRITER = Writer("ollama", "qwen2.5:3b", "1")
names = st.sampled_from(["a", "b", "ab", "*", "user:ann"])
# few characters, so that equal ones are drawn; é in both of its forms, and several kinds of white space
questions = st.text(st.sampled_from("aA é\u0301e\u00e9?. \t\u00a0\n²2"), min_size=1, max_size=6)
asks = st.builds(
    Ask,
    tenant=names,
    principals=st.lists(names, max_size=3).map(tuple),
    question=questions,
    timeout=st.sampled_from([1.0, 30.0]),
    collections=st.lists(names, max_size=3).map(tuple),
    mode=st.sampled_from(["hybrid", "dense"]),
    limit=st.sampled_from([1, 10]),
    filter=st.sampled_from(
        [None, Eq(field="a", value=1), Eq(field="a", value=True), Eq(field="a", value="1")]
    ),
    expand=st.sampled_from([0, 1]),
    diversity=st.sampled_from([0.0, 1.0]),
    rerank=st.sampled_from([None, True, False]),
    space=st.sampled_from([None, "a"]),
    cache=st.booleans(),
    options=st.builds(
        AnswerOptions,
        history=st.sampled_from([(), (Turn(question="a", answer="b"),), (Turn(question="a b", answer=""),)]),
        max_tokens=st.sampled_from([None, 1]),
        grounding=st.booleans(),
    ),
)


def inputs(question: Ask) -> tuple[object, ...]:
    """What an answer depends on, said once more."""
    same = replace(
        question,
        question=normalised(question.question),
        collections=tuple(sorted(set(question.collections))),
        principals=tuple(sorted(set(question.principals))),
        timeout=0.0,
        cache=True,
    )
    return (
        *(getattr(same, field.name) for field in fields(Ask) if field.name != "filter"),
        repr(same.filter),
    )


@given(asks, asks, st.sampled_from([None, "question", "collections", "principals", "filter", "options"]))
def test_equal_keys_mean_equal_inputs_and_the_reverse(one: Ask, other: Ask, only: str | None) -> None:
    if only is not None:
        other = replace(one, **{only: getattr(other, only)}, timeout=other.timeout, cache=other.cache)
    assert (sharing_key(one) == sharing_key(other)) == (inputs(one) == inputs(other))
    assert (cache_key(one, WRITER) == cache_key(other, WRITER)) == (inputs(one) == inputs(other))


@given(questions)
def test_nothing_but_white_space_and_composition_is_folded(question: str) -> None:
    once = normalised(question)
    assert normalised(once) == once
    assert "".join(once.split()) == "".join(unicodedata.normalize("NFC", question).split())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("  How many  days?\n", "How many days?"),
        ("How\u00a0many days?", "How many days?"),
        ("Сколько дней у Ильи\u0306?", "Сколько дней у Ильи\u0306?"),
        ("Какои\u0306 отпуск?", "Какой отпуск?"),
    ],
)
def test_the_same_question(one: str, other: str) -> None:
    assert sharing_key(ask(question=one)) == sharing_key(ask(question=other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is IT?", "What is it?"),
        ("What is 10⁶?", "What is 106?"),
        ("The contract ends in May", "The contract ends in May?"),
        ("What does ?? do", "What does ? do"),
        ("if x:\n    y\nz", "if x:\n    y\n    z"),
        ("Все ли знают", "Всё ли знают"),
    ],
)
def test_questions_that_look_alike_and_mean_another_thing(one: str, other: str) -> None:
    assert sharing_key(ask(question=one)) != sharing_key(ask(question=other))


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "other"},
        {"principals": ("*",)},
        {"principals": ("*", "user:bob")},
        {"collections": ()},
        {"space": "other"},
        {"options": AnswerOptions(history=(Turn(question="And?", answer="No."),))},
    ],
)
def test_who_asks_and_of_what_is_part_of_it(changes: dict[str, Any]) -> None:
    assert sharing_key(ask(**changes)) != sharing_key(ASK)


@pytest.mark.parametrize(
    "other",
    [Writer("openai", "qwen2.5:3b", "1"), Writer("ollama", None, "1"), Writer("ollama", "qwen2.5:3b", "2")],
)
def test_answers_of_another_writer_are_kept_apart(other: Writer) -> None:
    assert cache_key(ASK, WRITER) != cache_key(ASK, other)


def test_a_key_shows_nothing_of_the_question() -> None:
    key = cache_key(ASK, WRITER)
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")
