"""The same text in several documents is one candidate; what states something else is another."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retriever_fakes import FakePassage

from rag_retriever.domain.candidates import Candidate
from rag_retriever.domain.duplicates import NearDuplicates, folded
from rag_retriever.domain.index import ChunkKey, Hit

ENGLISH = (
    "Everyone who works at sea for more than thirty days in a row has a right to two further days of rest,"
    " which are taken within the quarter that follows. The head of the station enters them in the roster"
    " before the vessel leaves, and sends a copy to the office in the port of Harwich. Days that are not"
    " taken by the end of the quarter are paid out with the wages of the next month, unless the employee"
    " asks for them to be kept, which is possible once a year."
)
RUSSIAN = (
    "Работник, который находится в море более тридцати дней подряд, имеет право на два дополнительных дня"
    " отдыха, которые предоставляются в течение следующего квартала. Начальник станции вносит их в график"
    " до выхода судна и направляет копию в контору порта Мурманск. Дни, которые не использованы до конца"
    " квартала, оплачиваются вместе с заработной платой за следующий месяц, если работник не просит"
    " сохранить их за собой, что возможно один раз в год."
)
INVOICE = (
    "Invoice. For the maintenance of the navigation lights of the harbour we charge, as agreed in the frame"
    " contract, the sum of {amount} euros plus the value added tax at the legal rate. The sum is due within"
    " thirty days after receipt of this invoice to the account named below. Customer: {customer}. Please give"
    " the number of the invoice with every payment, and address questions to our accounts department."
)
BILL = (
    "Счёт. За обслуживание навигационных огней порта в соответствии с рамочным договором просим оплатить"
    " сумму {amount} рублей, включая налог на добавленную стоимость. Сумма подлежит оплате в течение тридцати"
    " дней после получения настоящего счёта. Заказчик: {customer}. Просим указывать номер счёта в назначении"
    " платежа, вопросы направлять в бухгалтерию."
)


PERMIT = (
    "Smoking is {rule} on the quay while a tanker is moored there, as long as the lamp at the gate is lit and"
    " the officer on watch has been told of it. Whoever stays on the quay for longer than the change of the"
    " tide pays {fee} euros to the harbour office, which keeps a list of the names and shows it on request"
    " to the crews of all other vessels"
)
LEAVE = (
    "Курение на причале во время стоянки танкера {rule}, если у ворот горит фонарь и об этом сообщено"
    " вахтенному помощнику. Тот, кто остаётся на причале дольше одного прилива, платит {fee} евро порту,"
    " которая ведёт список имён и показывает его по просьбе экипажей всех остальных судов"
)
OPPOSITES = [
    (PERMIT.format(rule="allowed", fee="ten"), PERMIT.format(rule="forbidden", fee="ten")),
    (PERMIT.format(rule="allowed", fee="five"), PERMIT.format(rule="allowed", fee="ten")),
    (LEAVE.format(rule="разрешается", fee="пять"), LEAVE.format(rule="запрещается", fee="пять")),
    (LEAVE.format(rule="разрешается", fee="пять"), LEAVE.format(rule="разрешается", fee="десять")),
    (ENGLISH, ENGLISH + " This section is repealed and must be disregarded."),
    (ENGLISH, "The following section is repealed: " + ENGLISH),
    (ENGLISH, ENGLISH[:-1] + ", or is waived."),
    (RUSSIAN, RUSSIAN + " Этот раздел отменён, применять его запрещается."),
    (RUSSIAN, "Отменено. " + RUSSIAN),
    ("At least -5 degrees", "At least 5 degrees"),
    ("The share is .5", "The share is 5"),
    ("The result was (500)", "The result was 500"),
    ("Heat is < 5", "Heat is > 5"),
    ("It costs 5 €", "It costs 5 $"),
    ("☑ yes ☐ no", "☐ yes ☑ no"),
    ("~~allowed~~", "allowed"),
    ("Written in C#", "Written in C"),
    ("12 500", "125 00"),
    ("Is it allowed?", "Is it allowed."),
]


def candidates(*texts: str, documents: Sequence[str] = "abcdefghijklmnop") -> list[Candidate]:
    return [
        Candidate(Hit(ChunkKey(document, 1, no), 1.0), FakePassage(text))
        for no, (document, text) in enumerate(zip(documents, texts, strict=False))
    ]


def kept(*texts: str, documents: Sequence[str] = "abcdefghijklmnop") -> list[int]:
    return [
        candidate.key.no for candidate in NearDuplicates().collapse(candidates(*texts, documents=documents))
    ]


@pytest.mark.parametrize("text", [ENGLISH, RUSSIAN], ids=["en", "ru"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.upper(),
        lambda text: text.replace(" ", "\n  ").replace(",", " -"),
        lambda text: "# **" + text.replace(" a ", " _a_ ").replace(" в ", " «в» ") + "**",
        lambda text: "\n".join(f"| {word} |" for word in text.split()),
        lambda text: text.replace("ё", "е").replace("Ё", "Е"),
    ],
    ids=["the same", "capitals", "layout", "marks", "a table", "ё"],
)
def test_copies_are_one_candidate(text: str, change: Callable[[str], str]) -> None:
    (first,) = NearDuplicates().collapse(candidates(text, change(text), "another text"))[:1]
    assert [copy.key.document_id for copy in first.copies] == ["b"]
    assert kept(text, change(text), "another text") == [0, 2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (INVOICE.format(amount="1,200", customer="Bay"), INVOICE.format(amount="1,500", customer="Bay")),
        (INVOICE.format(amount="1,200", customer="Bay"), INVOICE.format(amount="1,200", customer="Pier")),
        (INVOICE.format(amount="", customer="Bay"), INVOICE.format(amount="1,200", customer="Bay")),
        (BILL.format(amount="120 000", customer="Маяк"), BILL.format(amount="150 000", customer="Маяк")),
        (BILL.format(amount="120 000", customer="Маяк"), BILL.format(amount="120 000", customer="Буй")),
        (ENGLISH + " The deposit is 1 500", ENGLISH + " The deposit is 1 500 000"),
        (RUSSIAN + " Залог составляет 1 500", RUSSIAN + " Залог составляет 1 500 000"),
        ("12 500 roubles. " + ENGLISH, "500 roubles. " + ENGLISH),
        (ENGLISH, ENGLISH.replace("has a right", "has no right")),
        (ENGLISH, ENGLISH.replace("are paid", "aren't paid")),
        (RUSSIAN, RUSSIAN.replace("имеет право", "не имеет права")),
        (RUSSIAN, RUSSIAN.replace("не просит", "просит")),
        (ENGLISH, ENGLISH.replace("Harwich", "Dover")),
        (RUSSIAN, RUSSIAN.replace("Мурманск", "Архангельск")),
        ("From account 12 to account 34. " + ENGLISH, "From account 34 to account 12. " + ENGLISH),
        (ENGLISH, RUSSIAN),
        *OPPOSITES,
        ("7", "8"),
        ("***", "---"),
    ],
)
def test_what_states_something_else_stays(one: str, other: str) -> None:
    assert kept(one, other) == [0, 1]
    assert kept(other, one) == [0, 1]


def test_identical_chunks_of_one_document_stay() -> None:
    found = NearDuplicates().collapse(candidates(ENGLISH, ENGLISH, ENGLISH, documents="aab"))
    assert [candidate.key for candidate in found] == [("a", 1, 0), ("a", 1, 1)]
    assert [copy.key for copy in found[0].copies] == [("b", 1, 2)]
    assert found[1].copies == ()


def calls(texts: Sequence[str]) -> int:
    """How many functions, built-in ones among them, are called to collapse the texts."""
    count = 0
    found = candidates(*texts, documents=[str(no) for no in range(len(texts))])
    duplicates = NearDuplicates()

    def counting(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        duplicates.collapse(found)
    finally:
        sys.setprofile(before)
    return count


def test_repeated_words_cost_no_more_than_others() -> None:
    """Such texts took 3.3 s of the event loop, and everybody can upload them."""
    repeated = ["0; " * (300 - no) for no in range(30)]
    others = [" ".join(f"{no}{word}" for word in range(300 - no)) for no in range(30)]
    assert calls(repeated) <= 1.1 * calls(others)
    words = sum(300 - no for no in range(30))
    assert calls(repeated) < 10 * words
    assert calls([text * 4 for text in repeated]) < 4.1 * calls(repeated)


def test_a_text_is_prepared_once_however_often_candidates_are_added() -> None:
    found = candidates("one", "two", "ONE")
    duplicates = NearDuplicates()
    duplicates.collapse(found[:2])
    read: list[str] = []

    class Text(str):
        __slots__ = ()

        def casefold(self) -> str:
            read.append(self)
            return super().casefold()

    again = [replace(each, row=FakePassage(Text(each.row.text))) for each in found]
    assert [each.key.no for each in duplicates.collapse(again)] == [0, 1]
    assert read == ["ONE"]


WORDS = st.sampled_from(["the", "of", "keys", "rotate", "Anna", "no", "7", "lamp", "buoy", "ключ"])
TEXTS = st.lists(WORDS, max_size=25).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=8), st.data())
def test_nothing_is_lost_and_no_pair_is_overlooked(texts: list[str], data: st.DataObject) -> None:
    variants = [data.draw(st.sampled_from([text, text.upper(), f"{text} lamp"])) for text in texts]
    documents = data.draw(st.lists(st.sampled_from("abcd"), min_size=16, max_size=16))
    before = candidates(*texts, *variants, documents=documents)
    after = NearDuplicates().collapse(before)
    assert sorted(member.key for candidate in after for member in (candidate, *candidate.copies)) == sorted(
        candidate.key for candidate in before
    )
    assert [candidate.key.no for candidate in after] == sorted(candidate.key.no for candidate in after)
    for place, candidate in enumerate(after):
        assert all(copy.key.document_id != candidate.key.document_id for copy in candidate.copies)
        for earlier in after[:place]:
            if earlier.key.document_id != candidate.key.document_id:
                assert folded(earlier.row.text) != folded(candidate.row.text)
