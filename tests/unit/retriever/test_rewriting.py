"""What is asked of the generator's model, and what counts as a rewritten question."""

import time

import nats.errors
import pytest
from retriever_fakes import FakeRewriter

from rag_common.contracts import QuestionRewritten, RewriteQuestion, Turn
from rag_common.errors import TransientError
from rag_retriever.adapters.rewriter import NatsRewriter
from rag_retriever.domain.ports import RewriterUnavailable
from rag_retriever.domain.standalone import LONGER_BY, Standalone, StandaloneQuestion, checked

HISTORY = (Turn(question="When does the canteen open?", answer="At noon [1]."),)
REQUEST = RewriteQuestion(query_id="q", deadline=0.0, question="Where is it?", history=HISTORY)


def request(seconds: float, **changes: str) -> RewriteQuestion:
    """For a query whose deadline is so many seconds away."""
    return REQUEST.model_copy(update={"deadline": time.time() + seconds, **changes})


class Generator:
    """Answers, or raises, always the same."""

    def __init__(self, reply: QuestionRewritten | Exception | bytes) -> None:
        self._reply = reply
        self.asked: list[tuple[RewriteQuestion, float]] = []

    async def __call__(self, body: bytes, seconds: float) -> bytes:
        self.asked.append((RewriteQuestion.decode(body), seconds))
        if isinstance(self._reply, Exception):
            raise self._reply
        return self._reply if isinstance(self._reply, bytes) else self._reply.encode()


async def test_the_generator_is_asked_with_the_conversation() -> None:
    generator = Generator(QuestionRewritten(question="Where is the canteen?"))
    rewrite = NatsRewriter(generator, 4.0)
    assert await rewrite(REQUEST, 10) == "Where is the canteen?"
    await rewrite(REQUEST, 0.7)
    assert [seconds for _, seconds in generator.asked] == [4.0, 0.7]
    assert [asked.model_copy(update={"deadline": 0.0}) for asked, _ in generator.asked] == [REQUEST] * 2


@pytest.mark.parametrize("within", [10, 1000])
async def test_the_generator_is_told_when_its_question_is_of_no_use_any_more(within: float) -> None:
    generator = Generator(QuestionRewritten(question="Where is the canteen?"))
    await NatsRewriter(generator, 500)(request(2000), within)
    ((asked, seconds),) = generator.asked
    assert seconds == min(within, 500)
    assert asked.deadline == pytest.approx(time.time() + seconds, abs=5)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (QuestionRewritten(error="there is no model"), "does not rewrite: there is no model"),
        (QuestionRewritten(), "does not rewrite"),
        (b"{", "does not decode"),
        (TimeoutError(), "not answered within 4 s"),
        (nats.errors.TimeoutError(), "not answered within 4 s"),
        (nats.errors.NoRespondersError(), "no generator is running"),
        (nats.errors.ConnectionClosedError(), "NATS is unavailable"),
        (TransientError("not connected to NATS yet"), "NATS is unavailable"),
    ],
)
async def test_without_a_usable_answer(reply: QuestionRewritten | Exception | bytes, reason: str) -> None:
    with pytest.raises(RewriterUnavailable, match=reason):
        await NatsRewriter(Generator(reply), 4.0)(REQUEST, 10)


@pytest.mark.parametrize(
    ("question", "rewritten"),
    [
        ("Where is it?", "Where is the canteen?"),
        ("Where is it?", "  Where is\tthe canteen? \n"),
        ("А где?", "Где находится столовая?"),
        ("А NATS?", "Сколько памяти нужно NATS?"),
        ("2024?", "Сколько дней отпуска было в 2024 году?"),
    ],
)
def test_a_question_is_a_line_in_the_askers_script(question: str, rewritten: str) -> None:
    assert checked(rewritten, question) == " ".join(rewritten.split())


@pytest.mark.parametrize(
    "rewritten",
    [
        "",
        " \n ",
        "Sure! Here it is:\nWhere is the canteen?",
        "Where is\x00the canteen?",
        "Где столовая?",
        "食堂在哪里?",
        "Where " + "?" * (LONGER_BY + 20),
        "12",
    ],
)
def test_what_is_no_such_line_is_refused(rewritten: str) -> None:
    with pytest.raises(RewriterUnavailable, match="question"):
        checked(rewritten, "Where is it?")


async def test_the_model_has_half_of_the_time_that_is_left() -> None:
    rewriter = FakeRewriter()
    rewriter.answer = "Where is the canteen?"
    standalone = await StandaloneQuestion(rewriter)(request(100))
    assert standalone == Standalone("Where is the canteen?", "model")
    ((_, within),) = rewriter.asked
    assert within == pytest.approx(50, abs=10)


@pytest.mark.parametrize("answer", [None, "", "Где столовая?"])
async def test_without_the_model_the_words_of_the_conversation_do(answer: str | None) -> None:
    rewriter = FakeRewriter()
    rewriter.answer = answer
    standalone = StandaloneQuestion(rewriter)
    assert await standalone(request(10)) == Standalone("canteen open: Where is it?", "words")
    other = "How many days of leave are there?"
    assert await standalone(request(10, question=other)) == Standalone(other, "nobody")


async def test_no_model_is_asked_when_there_is_no_time() -> None:
    rewriter = FakeRewriter()
    await StandaloneQuestion(rewriter)(request(-1))
    assert rewriter.asked == []
