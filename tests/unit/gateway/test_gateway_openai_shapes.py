"""What is read from requests in OpenAI's protocol, what cannot be taken back, and how texts are divided."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rag_gateway.adapters.embeddings import MAX_CHARACTERS, MAX_TEXTS, batches
from rag_gateway.domain.resending import AnswerRestarted, SentText
from rag_gateway.openai_errors import body_of
from rag_gateway.shapes.openai import ChatRequest, EmbeddingsRequest


def chat(*messages: tuple[str, Any], **fields: Any) -> ChatRequest:
    said = [{"role": role, "content": content} for role, content in messages]
    return ChatRequest.model_validate({"model": "rag", "messages": said, **fields})


def test_the_last_message_is_the_question_and_pairs_before_it_are_history() -> None:
    request = chat(
        ("system", "Answer as a pirate."),
        ("assistant", "Hello!"),
        ("user", "not answered"),
        ("user", "How many days?"),
        ("assistant", "28."),
        ("assistant", "A year."),
        ("developer", "Briefly."),
        ("user", [{"type": "text", "text": " And in the"}, {"type": "text", "text": "first year? "}]),
        ("system", "Remember to be a pirate."),
    )
    assert request.question == "And in the\nfirst year?"
    assert list(request.pairs) == [("How many days?", "28.\nA year.")]


def test_what_has_no_meaning_here_is_ignored() -> None:
    request = chat(
        ("user", "days?"),
        temperature=0.7,
        top_p=1,
        seed=3,
        stop=["\n"],
        user="anna",
        n=1,
        tools=[],
        response_format={"type": "text"},
        logit_bias={},
        metadata={"a": "b"},
        unheard_of=True,
    )
    assert request.question == "days?"


@pytest.mark.parametrize(
    ("limits", "tokens"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 5, "max_completion_tokens": 9}, 9),
        ({"max_tokens": 100_000}, 8192),
    ],
)
def test_the_length_of_an_answer_is_bounded(limits: dict[str, int], tokens: int | None) -> None:
    assert chat(("user", "days?"), **limits).answer_tokens == tokens


@pytest.mark.parametrize(
    ("messages", "fields", "where"),
    [
        ([], {}, "messages"),
        ([("system", "x")], {}, "messages"),
        ([("user", "x"), ("assistant", "y")], {}, "messages"),
        ([("user", " \n ")], {}, "messages"),
        ([("user", "x" * 4001)], {}, "messages"),
        ([("user", "a\x00b")], {}, "messages"),
        ([("user", None)], {}, "messages"),
        ([("tool", "x")], {}, "messages.0.role"),
        ([("user", [{"type": "image_url", "image_url": {"url": "x"}}])], {}, "messages.0.content"),
        ([("user", [{"type": "input_audio", "input_audio": {}}])], {}, "messages.0.content"),
        ([("user", ["x"])], {}, "messages.0.content"),
        ([("user", 7)], {}, "messages.0.content"),
        ([("user", "x")], {"n": 2}, "n"),
        ([("user", "x")], {"tools": [{"type": "function"}]}, "tools"),
        ([("user", "x")], {"functions": [{"name": "f"}]}, "functions"),
        ([("user", "x")], {"modalities": ["text", "audio"]}, "modalities"),
        ([("user", "x")], {"response_format": {"type": "json_object"}}, "response_format"),
        ([("user", "x")], {"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_field(
    messages: list[tuple[str, Any]], fields: dict[str, Any], where: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        chat(*messages, **fields)
    assert ".".join(map(str, refused.value.errors()[0]["loc"])) == where


@pytest.mark.parametrize("given_input", [[1, 2], [[1, 2], [3]], [], "", [""], ["a", 7], 7, "x" * 32_769])
def test_only_texts_are_encoded(given_input: object) -> None:
    with pytest.raises(ValidationError):
        EmbeddingsRequest.model_validate({"model": "m", "input": given_input})


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, MAX_CHARACTERS + 10).map(lambda length: "x" * length), max_size=200))
def test_texts_are_divided_in_order_and_within_bounds(texts: list[str]) -> None:
    divided = list(batches(texts))
    assert [text for batch in divided for text in batch] == texts
    for batch in divided:
        assert 1 <= len(batch) <= MAX_TEXTS
        assert len(batch) == 1 or sum(map(len, batch)) <= MAX_CHARACTERS


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[begin:end] for begin, end in pairwise(places)]


words = st.text(alphabet="ab", max_size=12)
cuts = st.lists(st.integers(0, 20), max_size=4)


def readable(attempts: list[str]) -> bool:
    """Whether each attempt goes on where those before it got to, and the last one gets as far."""
    sent = ""
    for text in attempts:
        if not text.startswith(sent) and not sent.startswith(text):
            return False
        sent = max(sent, text, key=len)
    return sent == attempts[-1]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(words, cuts), min_size=1, max_size=4))
def test_a_client_reads_the_last_attempt_or_learns_that_it_does_not(
    attempts: list[tuple[str, list[int]]],
) -> None:
    sent, got = SentText(), ""
    texts = [text for text, _ in attempts]
    try:
        for number, (text, at) in enumerate(attempts):
            if number:
                sent.restart()
            for piece in pieces(text, at):
                got += sent.add(piece)
        sent.end()
    except AnswerRestarted:
        assert not readable(texts)
    else:
        assert readable(texts)
        assert got == texts[-1]


def test_a_repeated_beginning_is_sent_once() -> None:
    sent = SentText()
    assert sent.add("28 days") == "28 days"
    sent.restart()
    assert [sent.add("28 "), sent.add("days a"), sent.add(" year")] == ["", " a", " year"]
    sent.end()
    sent.restart()
    assert sent.add("28 days a ye") == ""
    with pytest.raises(AnswerRestarted):
        sent.end()
    with pytest.raises(AnswerRestarted):
        sent.add("X")


def test_problems_have_openais_form() -> None:
    problem = {"status": 404, "code": "unknown_collection", "detail": "there is none"}
    assert body_of(problem) == {
        "error": {
            "message": "there is none",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
    }
    wrong = [{"field": "body.n", "message": "one"}]
    invalid = body_of({"status": 422, "code": "invalid_request", "detail": "n: one", "errors": wrong})
    assert (invalid["error"]["param"], invalid["error"]["code"]) == ("n", "invalid_request")
    assert body_of({"status": 503, "code": "overloaded", "detail": "x"})["error"]["type"] == "server_error"
