"""Conversations, their answers, and who sees them."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from registry_support import TENANT, make_live

from rag_common.registry import NewAnswer, Registry, UnknownAnswer, UnknownConversation

OWNER = "anna"


def new_id() -> str:
    return str(uuid.uuid4())


def answer(conversation_id: str | None, question: str = "How many days?", **changes: Any) -> NewAnswer:
    fields: dict[str, Any] = {
        "id": new_id(),
        "conversation_id": conversation_id,
        "title": question,
        "question": question,
        "standalone": question,
        "text": "28 days [1].",
        "citations": [{"n": 1}],
        "documents": (),
        "history": (),
        "answered": True,
        "adapter": "ollama",
        "model": "qwen2.5:3b",
        "prompt_version": "1",
        "degraded": False,
        "cached": False,
        "timings_ms": {"generation": 12.5},
    }
    return NewAnswer(**{**fields, **changes})


async def begin(registry: Registry, owner: str = OWNER, title: str | None = None) -> str:
    return (await registry.conversations.create(TENANT, owner, new_id(), title)).id


async def questions(registry: Registry, conversation: str, *principals: str, last: int = 10) -> list[str]:
    given = await registry.answers.last(TENANT, OWNER, principals or ("*",), conversation, last)
    return [each.question for each in given]


async def waiting_for_a_lock(registry: Registry) -> None:
    """Until a statement of this database does."""
    async with registry.database.connection() as connection:
        waiting = await connection.prepare(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock'"
        )
        for _ in range(500):
            if await waiting.fetchval():
                return
            await asyncio.sleep(0.01)
    raise AssertionError("nothing waits for a lock")


async def count(registry: Registry, table: str) -> int:
    async with registry.database.connection() as connection:
        rows: int = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608
        return rows


async def test_the_first_question_gives_the_title_unless_there_is_one(registry: Registry) -> None:
    untitled, titled = await begin(registry), await begin(registry, title="Leave")
    for conversation in (untitled, titled):
        for question in ("first", "second"):
            await registry.answers.record(TENANT, OWNER, answer(conversation, question))
    shown = [await registry.conversations.get(TENANT, OWNER, each) for each in (untitled, titled)]
    assert [(each.title, each.answers) for each in shown] == [("first", 2), ("Leave", 2)]


async def test_answers_that_end_at_once_get_a_position_each(registry: Registry) -> None:
    conversation = await begin(registry)
    await asyncio.gather(
        *(registry.answers.record(TENANT, OWNER, answer(conversation, f"q{n}")) for n in range(20))
    )
    given = await registry.answers.messages(TENANT, OWNER, ("*",), conversation, limit=100)
    assert [each.position for each in given] == list(range(1, 21))
    assert {each.question for each in given} == {f"q{n}" for n in range(20)}
    assert (await registry.conversations.get(TENANT, OWNER, conversation)).answers == 20
    after = await registry.answers.messages(TENANT, OWNER, ("*",), conversation, after=18, limit=1)
    assert [each.position for each in after] == [19]


async def test_a_conversation_of_another_owner_or_tenant_is_unknown(registry: Registry) -> None:
    conversation = await begin(registry)
    kept = answer(conversation)
    await registry.answers.record(TENANT, OWNER, kept)
    for tenant, owner in ((TENANT, "boris"), ("other", OWNER)):
        for refused in (
            registry.conversations.get(tenant, owner, conversation),
            registry.conversations.delete(tenant, owner, conversation),
            registry.answers.messages(tenant, owner, ("*",), conversation),
            registry.answers.last(tenant, owner, ("*",), conversation, 10),
            registry.answers.record(tenant, owner, answer(conversation)),
        ):
            with pytest.raises(UnknownConversation):
                await refused
        with pytest.raises(UnknownAnswer):
            await registry.answers.give_feedback(tenant, owner, kept.id, "up", None)
        assert await registry.conversations.page(tenant, owner) == []
    assert await questions(registry, conversation) == ["How many days?"]


async def test_the_one_continued_last_comes_first_and_pages_follow_each_other(registry: Registry) -> None:
    made = [await begin(registry) for _ in range(5)]
    await registry.answers.record(TENANT, OWNER, answer(made[1]))
    seen: list[str] = []
    before = None
    while page := await registry.conversations.page(TENANT, OWNER, before, limit=2):
        seen += [each.id for each in page]
        before = (page[-1].updated_at, page[-1].id)
    assert seen == [made[1], made[4], made[3], made[2], made[0]]


async def test_nothing_remains_of_a_deleted_conversation(registry: Registry) -> None:
    conversation, other = await begin(registry), await begin(registry)
    for each in (conversation, other):
        kept = answer(each)
        await registry.answers.record(TENANT, OWNER, kept)
        await registry.answers.give_feedback(TENANT, OWNER, kept.id, "down", "no")
    await registry.conversations.delete(TENANT, OWNER, conversation)
    assert [await count(registry, table) for table in ("conversations", "answers", "feedback")] == [1, 1, 1]
    with pytest.raises(UnknownConversation):
        await registry.answers.record(TENANT, OWNER, answer(conversation))
    assert await count(registry, "answers") == 1


async def test_feedback_replaces_what_was_said_before(registry: Registry) -> None:
    conversation = await begin(registry)
    kept = answer(conversation)
    await registry.answers.record(TENANT, OWNER, kept)
    assert await registry.answers.give_feedback(TENANT, OWNER, kept.id, "down", "wrong")
    assert not await registry.answers.give_feedback(TENANT, OWNER, kept.id, "up", None)
    (given,) = await registry.answers.messages(TENANT, OWNER, ("*",), conversation)
    assert given.feedback is not None
    assert (given.feedback.rating, given.feedback.comment) == ("up", None)
    with pytest.raises(UnknownAnswer):
        await registry.answers.give_feedback(TENANT, OWNER, new_id(), "up", None)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE documents SET acl = '{group:hr}' WHERE id = $1",
        "UPDATE documents SET state = 'deleting' WHERE id = $1",
        "UPDATE documents SET tenant = 'other' WHERE id = $1",
        "UPDATE collections SET deleted_at = now() WHERE $1::uuid IS NOT NULL",
        "DELETE FROM documents WHERE false AND id = $1",
    ],
)
async def test_what_a_caller_may_not_read_any_more_is_not_told_again(registry: Registry, change: str) -> None:
    """The last of the changes is none, and the answer is still told."""
    one = (await make_live(registry, "a")).document_id
    conversation = await begin(registry)
    for question, documents in (("none", ()), ("one", (one,)), ("gone", (one, new_id()))):
        await registry.answers.record(TENANT, OWNER, answer(conversation, question, documents=documents))
    async with registry.database.connection() as connection:
        await connection.execute(change, one)
    told = ["none", "one"] if change.startswith("DELETE") else ["none"]
    assert await questions(registry, conversation) == told
    given = await registry.answers.messages(TENANT, OWNER, ("*",), conversation)
    assert [each.question for each in given if not each.withheld] == told
    if "group:hr" in change:
        assert await questions(registry, conversation, "group:hr") == ["none", "one"]


async def test_what_repeats_a_withheld_answer_is_withheld_with_it(registry: Registry) -> None:
    """By way of any number of answers, and no longer than that one."""
    document = (await make_live(registry, "a")).document_id
    conversation = await begin(registry)
    for question, documents, history in (
        ("before", (), ()),
        ("made of it", (document,), (1,)),
        ("told of it", (), (1, 2)),
        ("told of that", (), (3,)),
        ("not told", (), (1,)),
    ):
        made = answer(conversation, question, documents=documents, history=history)
        await registry.answers.record(TENANT, OWNER, made)
    everything = ["before", "made of it", "told of it", "told of that", "not told"]
    assert await questions(registry, conversation) == everything
    await registry.documents.patch(TENANT, document, acl=("user:boris",))
    assert await questions(registry, conversation) == ["before", "not told"]
    given = await registry.answers.messages(TENANT, OWNER, ("*",), conversation, after=2, limit=2)
    assert [(each.question, each.withheld) for each in given] == [
        ("told of it", True),
        ("told of that", True),
    ]
    await registry.documents.patch(TENANT, document, acl=("*",))
    assert await questions(registry, conversation) == everything


async def test_withheld_answers_do_not_use_up_the_history(registry: Registry) -> None:
    conversation = await begin(registry)
    for number in range(4):
        documents = (new_id(),) if number > 1 else ()
        await registry.answers.record(TENANT, OWNER, answer(conversation, f"q{number}", documents=documents))
    assert await questions(registry, conversation, last=2) == ["q0", "q1"]


async def test_feedback_on_an_answer_that_is_being_removed_finds_none(registry: Registry) -> None:
    kept = answer(None)
    await registry.answers.record(TENANT, OWNER, kept)
    async with registry.database.transaction() as connection:
        await connection.execute("DELETE FROM answers")
        giving = asyncio.create_task(registry.answers.give_feedback(TENANT, OWNER, kept.id, "up", None))
        await waiting_for_a_lock(registry)
    with pytest.raises(UnknownAnswer):
        await giving


async def test_conversations_are_forgotten_when_nobody_continues_them(registry: Registry) -> None:
    """Those without an answer after a day."""
    old, continued, empty, begun = [await begin(registry) for _ in range(4)]
    for conversation in (old, continued):
        await registry.answers.record(TENANT, OWNER, answer(conversation))
    async with registry.database.connection() as connection:
        for conversation, days in ((old, 10), (continued, 8), (empty, 2)):
            await connection.execute(
                "UPDATE conversations SET updated_at = updated_at - make_interval(days => $2) WHERE id = $1",
                conversation,
                days,
            )
    before = datetime.now(UTC) - timedelta(days=9)
    assert [await registry.conversations.forget(before, limit=1) for _ in range(3)] == [1, 1, 0]
    assert [each.id for each in await registry.conversations.page(TENANT, OWNER)] == [begun, continued]
    assert await count(registry, "answers") == 1


async def test_old_answers_outside_of_conversations_are_forgotten_in_batches(registry: Registry) -> None:
    inside = answer(await begin(registry))
    alone = [answer(None) for _ in range(5)]
    for each in (inside, *alone):
        await registry.answers.record(TENANT, OWNER, each)
        await registry.answers.give_feedback(TENANT, OWNER, each.id, "up", None)
    assert await registry.answers.forget(datetime.now(UTC) - timedelta(days=1), limit=3) == 0
    later = datetime.now(UTC) + timedelta(days=1)
    assert [await registry.answers.forget(later, limit=3) for _ in range(3)] == [3, 2, 0]
    assert [await count(registry, table) for table in ("answers", "feedback")] == [1, 1]
