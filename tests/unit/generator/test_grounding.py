"""How well the sentences of an answer are supported."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from passage_examples import passage

from rag_common.contracts import Citation, Passage
from rag_generator.domain.citing import MarkerFilter
from rag_generator.domain.grounding import MAX_SENTENCES, answer_sentences, ground
from rag_generator.domain.ports import EncoderUnavailable

MINILM = "all-minilm-l6-v2"
E5 = "multilingual-e5-small"
FRANCE = passage("Paris is the capital of France. The Seine flows through it.", "fr")
RUSSIA = passage("Москва — столица России. Она стоит на Москве-реке.", "ru")


class BagOfLetters:
    """Vectors that are near where texts share letters."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, space: str, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked = list(texts)
        vectors = np.zeros((len(texts), 4096), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for letter in text.casefold():
                row[ord(letter) % 4096] += 1
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def cited(text: str, passages: Sequence[Passage]) -> list[Citation]:
    return list(MarkerFilter(passages).feed(text).citations)


async def scores(
    text: str, passages: Sequence[Passage], space: str | None = MINILM
) -> list[float | None] | None:
    found = await ground(text, cited(text, passages), passages, BagOfLetters(), space)
    return None if found is None else [sentence.score for sentence in found]


async def test_a_sentence_is_compared_with_what_it_cites() -> None:
    text = "Paris is the capital of France [1]. Paris is the capital of France [2]."
    other = passage("Nothing of that kind.", "no")

    first, second = await scores(text, [FRANCE, other]) or []

    assert first == 1.0
    assert second is not None
    assert second < 0.95


async def test_others_have_a_turn_while_long_passages_are_read() -> None:
    turns: list[str] = []

    class Encoder(BagOfLetters):
        async def __call__(self, space: str, texts: Sequence[str]) -> NDArray[np.float32]:
            turns.append("encoded")
            return await super().__call__(space, texts)

    async def other() -> None:
        turns.append("other")

    task = asyncio.create_task(other())
    long = passage("Paris is the capital of France. " * 600, "fr")
    await ground("Paris is the capital [1].", [], [long], Encoder(), MINILM)
    await task

    assert turns == ["other", "encoded"]


async def test_a_sentence_without_marker_is_compared_with_everything() -> None:
    other = passage("Nothing of that kind.", "no")

    assert await scores("Paris is the capital of France.", [other, FRANCE]) == [1.0]


async def test_what_the_model_does_not_read_has_no_score() -> None:
    text = "Paris is the capital of France [1]. Москва — столица России [2]."

    assert await scores(text, [FRANCE, RUSSIA]) == [1.0, None]
    assert await scores(text, [FRANCE, RUSSIA], E5) == [1.0, 1.0]


async def test_a_sentence_that_cites_only_what_the_model_does_not_read_has_no_score() -> None:
    assert await scores("Moscow is the capital [2]. Paris too.", [FRANCE, RUSSIA]) == [
        None,
        pytest.approx(0.7, abs=0.3),
    ]


async def test_where_nothing_can_be_read_nobody_is_asked() -> None:
    encode = BagOfLetters()
    text = "Москва — столица России [1]."

    found = await ground(text, cited(text, [RUSSIA]), [RUSSIA], encode, MINILM)

    assert [(sentence.text, sentence.score) for sentence in found or ()] == [(text, None)]
    assert encode.asked == []


async def test_an_unknown_model_reads_nothing() -> None:
    assert await scores("Paris is the capital [1].", [FRANCE], "my-own-space") == [None]


async def test_without_a_space_there_is_no_grounding() -> None:
    assert await scores("Paris is the capital [1].", [FRANCE], None) is None


async def test_without_an_embedder_there_is_no_grounding() -> None:
    async def unavailable(space: str, texts: Sequence[str]) -> NDArray[np.float32]:
        raise EncoderUnavailable("no embedder answers")

    assert await ground("Paris [1].", (), [FRANCE], unavailable, MINILM) is None


async def test_markers_are_not_encoded_but_stand_in_the_sentence() -> None:
    encode = BagOfLetters()
    text = "Paris is large [1][2]. 42. It lies there."

    found = await ground(text, cited(text, [FRANCE, RUSSIA]), [FRANCE, RUSSIA], encode, MINILM)

    assert [sentence.text for sentence in found or ()] == ["Paris is large [1][2].", "It lies there."]
    assert encode.asked[:2] == ["Paris is large.", "It lies there."]


async def test_the_number_of_sentences_is_bounded_by_the_likeliest() -> None:
    encode = BagOfLetters()
    long = passage(" ".join(f"Sentence number {no} speaks about nothing." for no in range(1000)), "long")

    found = await ground("Paris is the capital.", (), [long, FRANCE], encode, MINILM)

    assert len(encode.asked) == 1 + MAX_SENTENCES
    assert found is not None
    assert found[0].score is not None
    assert found[0].score > 0.9


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. [1] Two. [2]", ["One. [1]", "Two. [2]"]),
        ("One [1]. Two [2].", ["One [1].", "Two [2]."]),
        ("One.[1] Two.[2][3]", ["One.[1]", "Two.[2][3]"]),
        ("[1] One says so. [2] Two says so.", ["[1] One says so.", "[2] Two says so."]),
        ("- One [1]\n- Two [2]", ["- One [1]", "- Two [2]"]),
        ("One.\n[2] Two.", ["One.", "[2] Two."]),
        ("", []),
    ],
)
def test_a_marker_belongs_to_the_sentence_before_it(text: str, sentences: list[str]) -> None:
    assert answer_sentences(text) == sentences
