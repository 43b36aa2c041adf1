"""What history goes with a question, and what becomes of an answer that cannot be kept."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_common.contracts import (
    MAX_TURN_CHARACTERS,
    MAX_TURNS,
    Adapter,
    AnswerDelta,
    AnswerDone,
    AnswerOpened,
    Passage,
)
from rag_common.errors import TransientError
from rag_gateway.domain import recording
from rag_gateway.domain.answers import CollectedAnswer
from rag_gateway.domain.recording import (
    MAX_TITLE,
    Asker,
    FinishedAnswer,
    PastTurn,
    Recorder,
    as_history,
    title_from,
)
from rag_gateway.identity import Caller

ANNA = Caller("anna", "default", ("*",))


class FakeRecords:
    def __init__(self, past: Sequence[PastTurn] = (), failure: Exception | None = None) -> None:
        self.past = past
        self.failure = failure
        self.kept: list[FinishedAnswer] = []

    async def history(self, asker: Asker, conversation_id: str, limit: int) -> Sequence[PastTurn]:
        assert (asker.name, asker.tenant, limit) == ("anna", "default", MAX_TURNS)
        return self.past

    async def record(self, asker: Asker, answer: FinishedAnswer) -> bool:
        if self.failure:
            raise self.failure
        self.kept.append(answer)
        return True


class HangingRecords(FakeRecords):
    async def record(self, asker: Asker, answer: FinishedAnswer) -> bool:
        await asyncio.Event().wait()
        return True


def passage(document_id: str) -> Passage:
    return Passage(
        document_id=document_id,
        generation=1,
        collection="handbook",
        title="Leave",
        source_uri="upload:/leave.txt",
        chunk_no=0,
        start=0,
        end=8,
        heading=(),
        text="28 days.",
        score=0.9,
        ranks={"dense": 1},
    )


def collected(*documents: str, complete: bool = True, adapter: Adapter = "extractive") -> CollectedAnswer:
    answer = CollectedAnswer()
    answer.add(
        AnswerOpened(
            query_id="q",
            attempt=1,
            standalone="days of leave?",
            passages=tuple(passage(document) for document in documents),
            mode="hybrid",
            adapter=adapter,
            prompt_version="1",
        )
    )
    answer.add(AnswerDelta(query_id="q", attempt=1, sequence=1, text="28 days."))
    if complete:
        answer.add(AnswerDone(query_id="q", attempt=1, sequence=2, answered=True))
    return answer


async def finish(records: FakeRecords, answer: CollectedAnswer) -> int:
    """Finish an answer in a conversation; how many were lost."""
    lost: list[None] = []
    one = await Recorder(records, lambda: lost.append(None)).begin(ANNA, "days?", "conversation")
    await one.finish(answer)
    return len(lost)


async def test_a_complete_answer_is_kept_once_and_an_incomplete_one_is_not() -> None:
    records = FakeRecords()
    assert await finish(records, collected()) == 0
    (kept,) = records.kept
    assert (kept.question, kept.standalone, kept.text) == ("days?", "days of leave?", "28 days.")
    for answer in (CollectedAnswer(), collected(complete=False)):
        assert await finish(records, answer) == 0
    assert len(records.kept) == 1


async def test_what_a_model_writes_may_repeat_what_it_was_told() -> None:
    """So that, once something of it is revoked, the later answer goes too; and what is kept does not grow
    with the conversation."""
    records = FakeRecords([PastTurn(3, "a", "b"), PastTurn(5, "c", "d")])
    await finish(records, collected("one", "two", "one", adapter="ollama"))
    await finish(records, collected("one"))
    assert [(kept.documents, kept.history) for kept in records.kept] == [
        (("one", "two"), (3, 5)),
        # quotations repeat nothing but the passages
        (("one",), ()),
    ]


async def test_without_a_conversation_the_registry_is_not_asked() -> None:
    records = FakeRecords([PastTurn(1, "a", "b")])
    one = await Recorder(records, lambda: None).begin(ANNA, "days?", None)
    assert (one.history, one.conversation_id) == ((), None)


async def test_while_the_registry_is_away_the_loss_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await finish(FakeRecords(failure=TransientError("away")), collected()) == 1
    monkeypatch.setattr(recording, "PATIENCE", 0.01)
    assert await finish(HangingRecords(), collected()) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("28 days [1].", "28 days."),
        ("28 days[1][2], or 30 [3, 12].", "28 days, or 30."),
        ("Section [a] of [2026] says [link](x).", "Section [a] of [2026] says [link](x)."),
    ],
)
def test_markers_are_no_part_of_history(answer: str, told: str) -> None:
    assert as_history([("q", answer)])[0].answer == told


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=15), st.integers(0, 5000))
def test_history_is_bounded_and_of_the_last_turns(pairs: list[tuple[str, str]], longer: int) -> None:
    history = as_history((question, answer + "x" * longer) for question, answer in pairs)
    assert [turn.question for turn in history] == [question for question, _ in pairs[-MAX_TURNS:]]
    assert all(len(turn.answer) <= MAX_TURN_CHARACTERS for turn in history)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=" \nabя", max_size=200))
def test_a_title_is_one_short_line(question: str) -> None:
    title = title_from(question)
    assert len(title) <= MAX_TITLE
    assert "\n" not in title
    assert title.rstrip("…") in " ".join(question.split())
