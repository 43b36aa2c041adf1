"""Conversations and feedback over HTTP, with answers from a scripted generator."""

import asyncio
import uuid

import pytest
from answers_support import done, generator, opened, passage, says
from gateway_support import Gateway, Json, Place, eventually, problem, running_gateway
from nats.js import JetStreamContext

from rag_common.contracts import Message, RetrievePassages, Turn
from rag_common.registry import Registry
from rag_gateway.domain import recording


async def begin(gateway: Gateway, **fields: str) -> Json:
    response = await gateway.http.post("/v1/conversations", json=fields)
    assert response.status_code == 201, response.text
    body: Json = response.json()
    assert response.headers["location"] == f"/v1/conversations/{body['id']}"
    return body


async def ask(gateway: Gateway, question: str, conversation: str | None = None) -> Json:
    body = {"question": question, "cache": False}
    response = await gateway.http.post("/v1/ask", json={**body, "conversation_id": conversation})
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


async def messages(gateway: Gateway, conversation: str) -> list[Json]:
    items: list[Json] = (await gateway.get(f"/v1/conversations/{conversation}/messages"))["items"]
    return items


async def live(gateway: Gateway, name: str) -> Json:
    document = await gateway.upload(name=name)
    await gateway.make_live(document)
    return document


async def test_a_conversation_is_begun_listed_shown_and_deleted(gateway: Gateway) -> None:
    conversation = await begin(gateway)
    assert (conversation["title"], conversation["answers"]) == (None, 0)
    assert (await begin(gateway, title=" Leave "))["title"] == "Leave"
    path = f"/v1/conversations/{conversation['id']}"
    assert await gateway.get(path) == conversation
    listed = await gateway.get("/v1/conversations")
    assert [item["title"] for item in listed["items"]] == ["Leave", None]
    assert await messages(gateway, conversation["id"]) == []

    assert (await gateway.http.delete(path)).status_code == 204
    for method, below in (("GET", ""), ("GET", "/messages"), ("DELETE", "")):
        problem(await gateway.http.request(method, path + below), 404, "unknown_conversation")
    asked = {"question": "days?", "conversation_id": conversation["id"]}
    problem(await gateway.http.post("/v1/ask", json=asked), 404, "unknown_conversation")


async def test_pages_of_conversations_and_of_messages_follow_each_other(gateway: Gateway) -> None:
    begun = [(await begin(gateway))["id"] for _ in range(3)]
    async with generator(gateway.jetstream, gateway.topology, says("28 days [1].")):
        for question in ("one?", "two?", "three?"):
            await ask(gateway, question, begun[0])
    for path, key, expected in (
        ("/v1/conversations", "id", [begun[0], begun[2], begun[1]]),
        (f"/v1/conversations/{begun[0]}/messages", "question", ["one?", "two?", "three?"]),
    ):
        seen, cursor = [], None
        while True:
            page = await gateway.get(path, limit=2, **({"cursor": cursor} if cursor else {}))
            seen += [item[key] for item in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert seen == expected


async def test_a_bad_title_is_refused(gateway: Gateway) -> None:
    for body in ({"title": ""}, {"title": "  "}, {"title": "x" * 201}, {"title": "\x00"}, {"titel": "x"}):
        problem(await gateway.http.post("/v1/conversations", json=body), 422, "invalid_request")


async def test_earlier_turns_go_with_a_question_without_their_markers(gateway: Gateway) -> None:
    document = await live(gateway, "leave.txt")
    conversation = (await begin(gateway))["id"]
    script = says("28 days [1]", " a year [1, 2].", of=passage(document["id"]))
    async with generator(gateway.jetstream, gateway.topology, script) as asked:
        first = await ask(gateway, "How many\n days of leave?", conversation)
        await ask(gateway, "And in the first year?", conversation)
    assert [query.answer and query.answer.history for query in asked] == [
        (),
        (Turn(question="How many\n days of leave?", answer="28 days a year."),),
    ]
    shown = await gateway.get(f"/v1/conversations/{conversation}")
    assert (shown["title"], shown["answers"]) == ("How many days of leave?", 2)
    one, two = await messages(gateway, conversation)
    assert (one["answer_id"], one["position"]) == (first["answer_id"], 1)
    assert (one["answer"], one["citations"]) == ("28 days [1] a year [1, 2].", first["citations"])
    assert (one["answered"], one["degraded"], one["withheld"], one["feedback"]) == (True, False, False, None)
    assert two["question"] == "And in the first year?"


async def test_what_was_revoked_is_neither_shown_nor_told_to_a_model(gateway: Gateway) -> None:
    """Nor are later answers, which had it before them."""
    secret, public = await live(gateway, "secret.txt"), await live(gateway, "public.txt")
    conversation = (await begin(gateway))["id"]
    sources = iter([public, secret, public, public, public])

    def script(query: RetrievePassages) -> list[Message | asyncio.Event]:
        return list(says(f"to {query.question}", of=passage(next(sources)["id"]))(query))

    async with generator(gateway.jetstream, gateway.topology, script) as asked:
        for question in ("public?", "secret?", "follow-up?"):
            await ask(gateway, question, conversation)
        await gateway.http.patch(f"/v1/documents/{secret['id']}", json={"acl": ["user:boris"]})
        await ask(gateway, "after?", conversation)
        told = [turn.question for turn in asked[-1].answer.history] if asked[-1].answer else []
        assert told == ["public?"]
        shown = await messages(gateway, conversation)
        assert [item["withheld"] for item in shown] == [False, True, True, False]
        assert [(item["answer"], item["citations"]) for item in shown[1:3]] == [(None, [])] * 2

        await gateway.http.patch(f"/v1/documents/{secret['id']}", json={"acl": ["*"]})
        assert (await messages(gateway, conversation))[1]["answer"] == "to secret?"
        await gateway.http.delete(f"/v1/documents/{public['id']}")
        assert [item["withheld"] for item in await messages(gateway, conversation)] == [True] * 4


async def test_a_script_that_fails_fails_its_test(gateway: Gateway) -> None:
    """This is of the tests here: without it they would wait for their time-out, and not say why."""
    called = asyncio.Event()

    def script(query: RetrievePassages) -> list[Message | asyncio.Event]:
        called.set()
        raise LookupError(query.question)

    async def leave_when_called() -> None:
        async with generator(gateway.jetstream, gateway.topology, script):
            asking = asyncio.create_task(ask(gateway, "days?"))
            await asyncio.wait_for(called.wait(), 10)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    with pytest.raises(AssertionError, match=r"LookupError\('days\?'\)"):
        await leave_when_called()


async def test_two_answers_at_once_are_both_recorded(gateway: Gateway) -> None:
    conversation = (await begin(gateway))["id"]
    async with generator(gateway.jetstream, gateway.topology, says("yes")):
        await asyncio.gather(*(ask(gateway, f"q{number}", conversation) for number in range(8)))
    shown = await messages(gateway, conversation)
    assert [item["position"] for item in shown] == list(range(1, 9))
    assert {item["question"] for item in shown} == {f"q{number}" for number in range(8)}


async def test_an_answer_of_a_deleted_conversation_leaves_no_trace(gateway: Gateway) -> None:
    conversation = (await begin(gateway))["id"]
    begun, deleted = asyncio.Event(), asyncio.Event()

    def script(query: RetrievePassages) -> list[Message | asyncio.Event]:
        begun.set()
        return [opened(query), deleted, done(query, 1)]

    async with generator(gateway.jetstream, gateway.topology, script):
        asking = asyncio.create_task(ask(gateway, "days?", conversation))
        await begun.wait()
        await gateway.http.delete(f"/v1/conversations/{conversation}")
        deleted.set()
        answer = await asking
    rated = {"answer_id": answer["answer_id"], "rating": "up"}
    problem(await gateway.http.post("/v1/feedback", json=rated), 404, "unknown_answer")
    async with gateway.registry.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM answers") == 0


async def test_the_client_has_its_answer_although_it_cannot_be_kept(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "PATIENCE", 0.2)
    conversation = (await begin(gateway))["id"]
    async with generator(gateway.jetstream, gateway.topology, says("28 days")):
        async with gateway.registry.database.transaction() as connection:
            await connection.execute("LOCK TABLE answers IN SHARE MODE")
            answer = await ask(gateway, "days?", conversation)
        assert answer["answer"] == "28 days"
        await ask(gateway, "and now?", conversation)
    shown = await messages(gateway, conversation)
    assert [(item["position"], item["question"]) for item in shown] == [(1, "and now?")]
    rated = {"answer_id": answer["answer_id"], "rating": "up"}
    problem(await gateway.http.post("/v1/feedback", json=rated), 404, "unknown_answer")
    assert "rag_answers_not_recorded_total 1.0" in (await gateway.http.get("/metrics")).text


async def test_a_model_that_writes_nul_does_not_lose_the_answer(gateway: Gateway) -> None:
    conversation = (await begin(gateway))["id"]
    async with generator(gateway.jetstream, gateway.topology, says("28\x00 days")):
        await ask(gateway, "days?", conversation)
    assert [item["question"] for item in await messages(gateway, conversation)] == ["days?"]


async def test_feedback_is_given_replaced_shown_and_counted(gateway: Gateway) -> None:
    conversation = (await begin(gateway))["id"]
    async with generator(gateway.jetstream, gateway.topology, says("28 days")):
        alone, inside = await ask(gateway, "days?"), await ask(gateway, "days?", conversation)
    for answer in (alone, inside):
        for rating, status in (("down", 201), ("up", 200)):
            rated = {"answer_id": answer["answer_id"], "rating": rating, "comment": f"{rating}!"}
            assert (await gateway.http.post("/v1/feedback", json=rated)).status_code == status
    feedback = (await messages(gateway, conversation))[0]["feedback"]
    assert (feedback["rating"], feedback["comment"]) == ("up", "up!")
    metrics = (await gateway.http.get("/metrics")).text
    assert 'rag_feedback_total{rating="down"} 2.0' in metrics


async def test_bad_feedback_is_refused(gateway: Gateway) -> None:
    good = {"answer_id": str(uuid.uuid4()), "rating": "up"}
    problem(await gateway.http.post("/v1/feedback", json=good), 404, "unknown_answer")
    for change in ({"answer_id": "one"}, {"rating": "good"}, {"comment": "x" * 4001}, {"comment": "\x00"}):
        response = await gateway.http.post("/v1/feedback", json={**good, **change})
        problem(response, 422, "invalid_request")


async def test_old_answers_and_conversations_are_forgotten(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async with running_gateway(
        place, registry, jetstream, sweep_interval=0.1, answer_retention_days=1
    ) as gateway:
        async with generator(gateway.jetstream, gateway.topology, says("28 days")):
            old, new = await ask(gateway, "old?"), await ask(gateway, "new?")
            conversation = (await begin(gateway))["id"]
            await ask(gateway, "old?", conversation)
        async with registry.database.connection() as connection:
            await connection.execute("UPDATE conversations SET updated_at = now() - interval '2 days'")
            await connection.execute(
                "UPDATE answers SET created_at = created_at - interval '2 days' WHERE id = $1",
                old["answer_id"],
            )

            async def left() -> bool | None:
                ids = await connection.fetch("SELECT id::text FROM answers")
                return [row["id"] for row in ids] == [new["answer_id"]] or None

            await eventually(left)
