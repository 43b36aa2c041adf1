"""Answers made of the passages' own sentences."""

import asyncio
import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from passage_examples import passage

from rag_common.contracts import Passage
from rag_generator.domain.extractive import MAX_QUOTES, Extractor, QuotedAnswer
from rag_generator.domain.ports import EncoderUnavailable

MINILM = "all-minilm-l6-v2"
LEAVE = passage(
    "The handbook is kept here. Everyone has 28 days of leave a year. Unused days are lost in March.",
    "leave",
    start=100,
)
SHIPS = passage(
    "The ship sails on Monday. Its crew has eleven members. The cook comes from Murmansk.", "ships"
)


class Encoder:
    """Puts the sentences that hold ``near`` where the question is."""

    def __init__(self, near: str = "", failure: EncoderUnavailable | None = None) -> None:
        self.near = near
        self.failure = failure
        self.asked: list[tuple[str, Sequence[str]]] = []

    async def __call__(self, space: str, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append((space, texts))
        if self.failure:
            raise self.failure
        near = [True, *(bool(self.near) and self.near in text for text in texts[1:])]
        return np.array([[1, 0] if one else [0, 1] for one in near], np.float32)


async def quoted(
    question: str, *passages: Passage, space: str | None = None, encode: Encoder | None = None
) -> QuotedAnswer:
    return await Extractor(encode or Encoder())(question, passages, space)


async def test_the_sentence_with_the_words_of_the_question_is_quoted_with_its_place() -> None:
    answer = await quoted("How many days of leave does everyone have?", LEAVE, SHIPS)

    [line, *_] = answer.text.splitlines()
    assert line == "Everyone has 28 days of leave a year. [1]"
    first = answer.citations[0]
    assert (first.n, first.start, first.end) == (1, 127, 164)
    assert first.quote == "Everyone has 28 days of leave a year."


async def test_inflected_words_are_found() -> None:
    text = "Корабль уходит в понедельник. Отпуск сотрудника составляет 28 дней. Повар приехал из Мурманска."

    answer = await quoted("Сколько длится отпуск у сотрудников?", passage(text))

    assert "Отпуск сотрудника составляет 28 дней. [1]" in answer.text


async def test_a_sentence_without_words_of_the_question_is_found_by_its_vector() -> None:
    answer = await quoted("Who prepares the meals?", SHIPS, space=MINILM, encode=Encoder(near="cook"))

    assert "The cook comes from Murmansk. [1]" in answer.text


async def test_a_model_that_does_not_read_the_question_is_not_asked() -> None:
    encode = Encoder()

    await quoted("Сколько длится отпуск?", LEAVE, space=MINILM, encode=encode)
    await quoted("How long is the leave?", LEAVE, space="a-space-of-ones-own", encode=encode)
    await quoted("How long is the leave?", LEAVE, space=None, encode=encode)

    assert encode.asked == []


async def test_without_an_embedder_words_decide() -> None:
    encode = Encoder(failure=EncoderUnavailable("no embedder is running"))

    answer = await quoted("How many days of leave?", LEAVE, space=MINILM, encode=encode)

    assert encode.asked
    assert answer == await quoted("How many days of leave?", LEAVE)


async def test_a_slow_embedder_is_not_waited_for() -> None:
    async def encode(space: str, texts: Sequence[str]) -> NDArray[np.float32]:
        await asyncio.Event().wait()
        return np.empty((0, 0), np.float32)

    answer = await Extractor(encode, patience=0.01)("How many days of leave?", [LEAVE], MINILM)

    assert answer == await quoted("How many days of leave?", LEAVE)


async def test_few_sentences_are_encoded() -> None:
    encode = Encoder()
    many = passage(" ".join(f"This is sentence number {no} about leave." for no in range(300)))

    await quoted("What about leave?", many, space=MINILM, encode=encode)

    [(_, texts)] = encode.asked
    assert len(texts) <= 13


async def test_quotes_stand_in_reading_order() -> None:
    late = passage("Leave is granted by the office.", "handbook", start=500)
    early = passage("Leave is asked for in writing.", "handbook", start=10)

    answer = await quoted("Who grants leave, and how is leave asked for?", late, early)

    assert answer.passages == (early, late)
    assert answer.text == "Leave is asked for in writing. [1]\nLeave is granted by the office. [2]"
    assert [cited.n for cited in answer.citations] == [1, 2]


async def test_what_says_nothing_about_the_question_is_left_out() -> None:
    answer = await quoted("How many days of leave does everyone have?", LEAVE, SHIPS)

    assert "cook" not in answer.text


@pytest.mark.parametrize("announcing", ["## Days of leave", "How many days of leave are there?"])
async def test_what_follows_a_heading_or_a_question_is_quoted(announcing: str) -> None:
    text = f"The office opens at nine.\n\n{announcing}\n\n28 in every year. They are lost in March."

    answer = await quoted("How many days of leave are there?", passage(text))

    assert answer.text == "28 in every year. [1]"


async def test_a_sentence_that_two_passages_hold_is_quoted_once() -> None:
    answer = await quoted("How many days of leave?", LEAVE, LEAVE.model_copy(update={"document_id": "copy"}))

    assert answer.text.count("28 days") == 1


async def test_without_sentences_there_is_no_text() -> None:
    for passages in ((), (passage("## Leave"),), (passage("  \n "),)):
        answer = await quoted("How many days of leave?", *passages)
        assert (answer.text, answer.citations) == ("", ())


WORDS = (
    "leave",
    "days",
    "отпуск",
    "дней",
    "28",
    "[1]",
    "ship",
    "Dr.",
    "\n\n",
    "## Ship",
    "| a | b |\n",
    "😀",
)
TEXTS = st.lists(st.sampled_from([*WORDS, ". ", "! ", "? "]), max_size=40).map(" ".join)


@given(
    question=TEXTS,
    texts=st.lists(TEXTS, max_size=5),
    starts=st.lists(st.integers(0, 10_000), min_size=5, max_size=5),
)
async def test_every_quote_is_verbatim_at_its_offsets(
    question: str, texts: list[str], starts: list[int]
) -> None:
    passages = [
        passage(text, f"d{no % 2}", start=start)
        for no, (text, start) in enumerate(zip(texts, starts, strict=False))
    ]

    answer = await quoted(question, *passages)

    assert len(answer.citations) <= MAX_QUOTES
    assert sorted(map(id, answer.passages)) == sorted(map(id, passages))
    for cited in answer.citations:
        own = answer.passages[cited.n - 1]
        assert own.document_id == cited.document_id
        assert own.start <= cited.start < cited.end <= own.end
        assert own.text[cited.start - own.start : cited.end - own.start] == cited.quote
    lines = answer.text.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == [f"[{cited.n}]" for cited in answer.citations]
    assert not any(re.search(r"\[\d", line.rpartition(" ")[0]) for line in lines)
    assert answer == await quoted(question, *passages)


async def test_a_quote_is_read_in_one_line_and_without_the_document_s_own_markers() -> None:
    """Its [2] would be taken for our second passage."""
    own = passage("Everyone has 28 days\nof leave a year [2].[3] The ship sails.", "leave")

    answer = await quoted("How many days of leave?", own)

    assert answer.text.splitlines()[0] == "Everyone has 28 days of leave a year. [1]"
    assert answer.citations[0].quote == "Everyone has 28 days\nof leave a year [2].[3]"


async def test_a_row_of_a_spreadsheet_is_quoted_by_itself() -> None:
    table = passage("Part\tName\tEUR\nKM-2001\tSwivel, steel\t148\nKM-2030\tAcoustic release\t5400", "prices")

    answer = await quoted("What does the steel swivel cost?", table)

    assert answer.text == "KM-2001 Swivel, steel 148 [1]"


async def test_a_question_is_not_taken_for_a_pattern() -> None:
    answer = await quoted("leave (28 days? [", LEAVE)

    assert re.search(r"28 days", answer.text)
