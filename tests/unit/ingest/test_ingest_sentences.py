"""Where sentences end: names, numbers and abbreviations stay whole, in Russian and in English."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_common.sentences import sentence_ends


def sentences(text: str) -> list[str]:
    ends = [0, *sentence_ends(text, 0, len(text)), len(text)]
    return [text[start:end].strip() for start, end in pairwise(ends)]


@pytest.mark.parametrize(
    "text",
    [
        "Он родился в 1799 г. в Москве.| Учился там же.",
        "Это было в 1990 г.| Потом всё изменилось.",
        "В 1941—1945 гг. шла война.| Потом наступил мир.",
        "Пришли А. С. Пушкин и Н. В. Гоголь.| Они сели.",
        "Завод им. В. И. Ленина закрыт.| Он на ул. Мира, д. 5, кв. 3.",
        "Это видно на рис. 3.| Далее см. табл. 2.",
        "Овощи, т. е. морковь и т. д., растут.| Фрукты и т. п. тоже.",
        "Купили яблоки, груши и т. д.| Потом пошли домой.",
        "Купили груши и т.д.| Потом, т.е. позже, ушли.",
        "Стоит 5 тыс. руб. за штуку.| Дорого.",
        "Проф. Иванов и акад. Петров согласны.| Да.",
        "Согласно п. 3 ст. 15 закона № 5.| И ещё.",
        "«Пойдём?» — спросил он.| Она кивнула.",
        "Он сказал: «Нет!»| И ушёл…| Навсегда?!| Да.",
        "Версия 3.14 вышла 01.02.2020 г. в срок.| Ура!",
        "Цена на 1. 10. 2020 и после.| Всё.",
        "Это случилось в XIX в. на юге.| Далее.",
        "Он живёт в г. Москва.| Она живёт в д. Иваново близ г. Санкт-Петербург.",
        "Из г. Тула и гг. Ростов и Азов.| Дом у д. Марьино, д. Костино.",
        "Так было в 90-х гг.| Иванов уехал.",
        "Родился в 1799\u00a0г.| Пушкин рос, читал и т.\u00a0д.| Потом учился.",
        "Mr. Smith and Dr. Brown met J. R. R. Tolkien.| Really?",
        "See e.g. Fig. 3 and No. 5 of vol. 2 for details.| It is 3.14 high.",
        "He was born on Jan. 5, 1990.| She was not.",
        '"Stop!" he cried.| She went.',
        "Smith et al. found this.[12]| So did we.",
        "It has cats, dogs etc. at home.| The rest, i.e. birds, left.",
        "in 2017, it was $20 million.| a deferred tax asset followed in 2018.| then came notes",
        "Words with spaces around , as in corpora .| They end , too .",
        "1. First of all.|\n2. Second of all.",
        "他来了。|她走了！|好吗？|好",
        "No end at all",
        "",
    ],
)
def test_sentences_end_where_they_do(text: str) -> None:
    expected = [sentence.strip() for sentence in text.split("|")]
    assert sentences(text.replace("|", "")) == expected


@given(st.text(alphabet="aЖ .!?…»)\n1[]。т", max_size=200), st.integers(0, 20), st.integers(0, 20))
def test_ends_ascend_within_the_text(text: str, start: int, after: int) -> None:
    end = max(start, len(text) - after)
    ends = list(sentence_ends(text, start, end))
    assert ends == sorted(set(ends))
    assert all(start < position < end for position in ends)
