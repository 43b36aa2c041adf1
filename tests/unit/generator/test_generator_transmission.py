import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_common.contracts import AnswerDelta, AnswerDone, AnswerOpened, Message
from rag_common.errors import TransientError
from rag_generator.domain import transmission as transmission_module
from rag_generator.domain.citing import Cited
from rag_generator.domain.frames import Frames
from rag_generator.domain.ports import NobodyListens
from rag_generator.domain.transmission import Transmission, Unwanted

SILENCE = TransientError("no answer in time")
NOBODY = NobodyListens("nobody is there")
OPENED = AnswerOpened(
    query_id="q",
    attempt=1,
    standalone="?",
    passages=(),
    mode="hybrid",
    adapter="extractive",
    prompt_version="1",
)


class ScriptedReplies:
    """A gateway; it answers with ``verdicts``, or raises them, and then wants everything."""

    def __init__(self, *verdicts: bool | TransientError) -> None:
        self.messages: list[Message] = []
        self.questions: list[Message] = []
        self.verdicts = deque(verdicts)

    async def send(self, reply_to: str, message: Message) -> None:
        assert reply_to == "reply.g.q"
        self.messages.append(message)

    async def wanted(self, reply_to: str, message: AnswerOpened | AnswerDelta | AnswerDone) -> bool:
        await self.send(reply_to, message)
        self.questions.append(message)
        await asyncio.sleep(0)
        verdict = self.verdicts.popleft() if self.verdicts else True
        if isinstance(verdict, TransientError):
            raise verdict
        return verdict

    @property
    def deltas(self) -> list[AnswerDelta]:
        return [message for message in self.messages if isinstance(message, AnswerDelta)]


def transmission(replies: ScriptedReplies) -> Transmission:
    return Transmission(replies, "reply.g.q", Frames("q", 1))


async def pieces(texts: Sequence[str]) -> AsyncGenerator[Cited, None]:
    for text in texts:
        yield Cited(text)
        await asyncio.sleep(0)


async def endless(closed: asyncio.Event, text: str) -> AsyncGenerator[Cited, None]:
    try:
        while True:
            if text:
                yield Cited(text)
            await asyncio.sleep(0.001)
    finally:
        closed.set()


@pytest.fixture
def always_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transmission_module, "STILL_WANTED", 0.0)


async def test_the_opening_is_repeated_until_somebody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transmission_module, "ASK_AGAIN", 0.0)
    replies = ScriptedReplies(SILENCE, SILENCE, True)
    await transmission(replies).open(OPENED, 0.0)
    assert replies.messages == [OPENED] * 3


async def test_a_refused_opening_ends_the_work() -> None:
    with pytest.raises(Unwanted):
        await transmission(ScriptedReplies(False)).open(OPENED, 0.0)


@pytest.mark.usefixtures("always_asking")
async def test_a_delta_is_asked_about_and_others_follow_in_order() -> None:
    replies = ScriptedReplies()
    text = [str(number) for number in range(1000)]
    sent = await transmission(replies).text(pieces(text))
    assert sent.text == "".join(text) == "".join(delta.text for delta in replies.deltas)
    assert [delta.sequence for delta in replies.deltas] == [*range(1, len(replies.deltas) + 1)]
    assert replies.questions


@pytest.mark.usefixtures("always_asking")
@pytest.mark.parametrize("text", ["word ", ""], ids=["writing", "silent"])
async def test_an_answer_that_nobody_wants_closes_the_model(text: str) -> None:
    closed = asyncio.Event()
    with pytest.raises(Unwanted):
        await transmission(ScriptedReplies(True, True, False)).text(endless(closed, text))
    assert closed.is_set()


@pytest.mark.usefixtures("always_asking")
async def test_no_answer_is_no_refusal() -> None:
    replies = ScriptedReplies(SILENCE, SILENCE, SILENCE, False)
    closed = asyncio.Event()
    with pytest.raises(Unwanted):
        await transmission(replies).text(endless(closed, "word "))
    assert len(replies.questions) == 4


@pytest.mark.usefixtures("always_asking")
async def test_a_gateway_that_is_back_soon_is_asked_on_and_sees_what_it_has_missed() -> None:
    replies = ScriptedReplies(True, NOBODY, NOBODY, True, False)
    closed = asyncio.Event()
    with pytest.raises(Unwanted):
        await transmission(replies).text(endless(closed, "word "))
    assert len(replies.questions) == 5
    assert [delta.sequence for delta in replies.deltas] == [*range(1, len(replies.deltas) + 1)]


@pytest.mark.usefixtures("always_asking")
async def test_a_gateway_that_stays_away_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transmission_module, "RETURNS_WITHIN", 0.01)
    closed = asyncio.Event()
    with pytest.raises(Unwanted):
        await transmission(ScriptedReplies(*[NOBODY] * 10_000)).text(endless(closed, ""))
    assert closed.is_set()


async def test_nobody_at_the_first_opening_ends_the_work_at_once() -> None:
    replies = ScriptedReplies(NOBODY)
    with pytest.raises(Unwanted):
        await transmission(replies).open(OPENED, 0.0)
    assert replies.messages == [OPENED]


async def test_an_opening_in_the_middle_waits_for_a_gateway_to_be_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transmission_module, "ASK_AGAIN", 0.0)
    replies = ScriptedReplies(NOBODY, NOBODY, True)
    await transmission(replies).open(OPENED, 60.0)
    assert replies.messages == [OPENED] * 3


@pytest.mark.parametrize("last", [True, False, SILENCE])
async def test_the_end_is_sent_until_somebody_has_got_it(
    monkeypatch: pytest.MonkeyPatch, last: bool | TransientError
) -> None:
    monkeypatch.setattr(transmission_module, "ASK_AGAIN", 0.0)
    done = AnswerDone(query_id="q", attempt=1, sequence=1, answered=True)
    replies = ScriptedReplies(NOBODY, NOBODY, last)
    await transmission(replies).end(done)
    assert replies.messages == [done] * 3


@given(texts=st.lists(st.text(min_size=1, max_size=8), max_size=60))
def test_the_deltas_are_the_text_without_a_gap(texts: list[str]) -> None:
    replies = ScriptedReplies()
    sent = asyncio.run(transmission(replies).text(pieces(texts)))
    assert sent.text == "".join(texts) == "".join(delta.text for delta in replies.deltas)
    assert [delta.sequence for delta in replies.deltas] == [*range(1, len(replies.deltas) + 1)]
    assert (sent.first_at is None) == (not texts)
