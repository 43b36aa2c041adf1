"""Which questions need the conversation, and what they take of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_common.contracts import MAX_QUESTION, Turn
from rag_retriever.domain.followups import depends_on_conversation, in_context
from rag_retriever.domain.names import names

DEPENDENT = [
    # pronouns
    "How old is it?",
    "Where was she born?",
    "When did he die?",
    "Is it refundable?",
    "How much does it cost?",
    "How long does it take?",
    "Can I carry them over?",
    "What did the court say about its origin?",
    "Who runs it and where are they based?",
    "How is this calculated?",
    "How do I get there?",
    "Who else was involved?",
    "Which one is cheaper?",
    "Why is that?",
    "What happened after that?",
    "Does that include weekends?",
    "Где она родилась?",
    "Кто его построил?",
    "Когда их выплачивают?",
    "Как её получить?",
    "Какой у неё диаметр?",
    "Сколько это стоит?",
    "Что там произошло?",
    "Кто ещё участвовал?",
    "Этот отпуск оплачивается?",
    # going on
    "And for contractors?",
    "What about Berlin?",
    "How about part-time workers in Spain?",
    "But why?",
    "А для подрядчиков?",
    "Как насчёт Берлина?",
    "А если я заболею?",
    "И когда?",
    # nothing of their own, or not enough
    "Why?",
    "Tell me more",
    "Can you give an example?",
    "For students?",
    "In Germany?",
    "Paris?",
    "What is the deadline?",
    "How many rooms are there?",
    "Почему?",
    "Расскажи подробнее",
    "Приведи пример",
    "Для студентов?",
    "Кто автор?",
    "До какого числа?",
    "А в каком году?",
]
STANDALONE = [
    "How many days of leave do employees have?",
    "Who was the first president of France?",
    "What is photosynthesis?",
    "What does photosynthesis mean?",
    "What is NATS?",
    "Who wrote Faust?",
    "When is Easter?",
    "How tall is the Eiffel Tower?",
    "rotate signing keys",
    "vacation policy",
    "Сколько дней отпуска у сотрудников?",
    "Кто написал «Войну и мир»?",
    "Что такое фотосинтез?",
    "Кто такие викинги?",
    "Где находится Париж?",
    "Как подать заявление на отпуск?",
    "порядок оплаты командировок",
    # pronouns of nothing, or of what the question itself has named
    "How long does it take to renew a passport?",
    "Is it allowed to park in the yard?",
    "Is it true that smoking is forbidden in the office?",
    "Are there discounts for students in the canteen?",
    "What are the working hours this year?",
    "Which law that was passed in 1990 regulates pensions?",
    "When was the university founded and who founded it?",
    "If I lose my card, can I replace it?",
    "Why do cats purr when they are happy?",
    "Did Einstein love his wife?",
    "Когда родился Пушкин и где его похоронили?",
    "Если я потеряю карту, как её восстановить?",
    "Какая зарплата у тех, кто работает ночью?",
    "Сколько выходных в этом году?",
    # an opening that means nothing
    "And what are the side effects of taking aspirin daily with alcohol?",
    # languages that are not known here
    "Wie viele Urlaubstage habe ich?",
    "有多少天假期",
]


def turns(*pairs: tuple[str, str]) -> list[Turn]:
    return [Turn(question=question, answer=answer) for question, answer in pairs]


LEAVE = ("How many days of leave do employees have?", "Employees have 28 days of leave a year [1].")
FOUNDER = (
    "Who founded Acme Corp?",
    "Acme Corp was founded by Anna Schmidt in 1998 [1]. The company is in Zürich.",
)
ОТПУСК = ("Сколько дней отпуска у сотрудников?", "У сотрудников 28 дней отпуска [1].")


@pytest.mark.parametrize("question", DEPENDENT)
def test_a_question_that_points_back(question: str) -> None:
    assert depends_on_conversation(question)


@pytest.mark.parametrize("question", STANDALONE)
def test_a_question_that_stands_alone(question: str) -> None:
    assert not depends_on_conversation(question)
    assert in_context(question, turns(LEAVE)) == question


@pytest.mark.parametrize(
    ("question", "history", "expected"),
    [
        ("And for contractors?", [LEAVE], "days leave employees: And for contractors?"),
        ("What about leave without pay?", [LEAVE], "days employees: What about leave without pay?"),
        ("А для подрядчиков?", [ОТПУСК], "дней отпуска сотрудников: А для подрядчиков?"),
        ("Почему?", [ОТПУСК], "дней отпуска сотрудников: Почему?"),
        # a pronoun wants names
        ("Where was she born?", [FOUNDER], "founded Acme Corp Anna Schmidt Zürich: Where was she born?"),
        (
            "А где он живёт?",
            [("Кто директор завода?", "Завод возглавляет Пётр Ильин [2].")],
            "директор завода Пётр Ильин: А где он живёт?",
        ),
        # the question before was a follow-up itself
        (
            "And when?",
            [FOUNDER, ("Where was she born?", "In Graz [2].")],
            "founded Acme Corp Anna Schmidt Zürich born: And when?",
        ),
        # what the conversation was about before does not matter
        ("And for contractors?", [FOUNDER, LEAVE], "days leave employees: And for contractors?"),
        ("Why?", [], "Why?"),
        ("Why?", [("Why?", "Because.")], "Why?"),
    ],
)
def test_what_a_question_takes_of_the_conversation(
    question: str, history: list[tuple[str, str]], expected: str
) -> None:
    assert in_context(question, turns(*history)) == expected


@given(st.lists(st.tuples(st.text(max_size=80), st.text(max_size=200)), max_size=6), st.text(min_size=1))
def test_the_question_itself_always_stays(history: list[tuple[str, str]], question: str) -> None:
    assert in_context(question, turns(*history)).endswith(question)


def test_a_question_grows_only_so_far() -> None:
    long = "And " + "why " * 990
    assert in_context(long, turns(LEAVE)) == f"days leave employees: {long}"
    longest = long.ljust(MAX_QUESTION, "?")
    assert in_context(longest, turns(LEAVE)) == longest
    distinct = " ".join(chr(97 + n) * 6 for n in range(26))
    assert in_context("Why?", turns((distinct, ""))).split()[0] == "oooooo"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Rhine flows through Basel.", ["Rhine", "Basel"]),
        ("Paris is nice. USA won; so did Paris.", ["USA", "Paris"]),
        ("Он родился в Москве. Отец — Сергей Львович.", ["Москве", "Сергей Львович"]),
        ("- Employees have leave.\n- Students have none.", []),
        ("", []),
    ],
)
def test_names(text: str, expected: list[str]) -> None:
    assert names(text) == expected
