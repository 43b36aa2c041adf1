"""Asking: passages first, then text, then the end; or a clear error, and nothing left running."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from ask_support import CITATION, PASSAGE, Others, Talk, answering, events_of, streamed, text_of
from gateway_support import PATIENCE, Gateway, Place, eventually, problem, running_gateway
from nats.js import JetStreamContext

from rag_common.contracts import (
    AnswerDelta,
    Eq,
    IngestDocument,
    QueryFailed,
    RetrievePassages,
    SentenceGrounding,
)
from rag_common.registry import Registry
from rag_gateway.shapes.ask import AskAnswer


async def well(talk: Talk) -> None:
    """An answer as it should be."""
    assert await talk.open()
    await talk.say("Everyone has ")
    assert await talk.ask("28 days")
    await talk.say(" [1].", CITATION)
    await talk.end(prompt_tokens=100, completion_tokens=9)


async def test_an_answer_has_all_its_fields(gateway: Gateway) -> None:
    async with answering(gateway.jetstream, gateway.topology, well) as others:
        response = await gateway.http.post("/v1/ask", json={"question": "  How many days? "})
    assert response.status_code == 200, response.text
    body = response.json()
    assert body.keys() == AskAnswer.model_fields.keys()
    answer = AskAnswer.model_validate(body)
    assert (answer.question, answer.standalone_question) == ("How many days?", "How many days?")
    assert (answer.answered, answer.answer) == (True, "Everyone has 28 days [1].")
    assert answer.citations == [CITATION]
    assert body["passages"] == [{"n": 1, **PASSAGE.model_dump(mode="json")}]
    assert (answer.adapter, answer.model, answer.prompt_version) == ("ollama", "qwen2.5:3b", "1")
    assert (answer.degraded, answer.reason, answer.cached, answer.finish) == (False, None, False, "stop")
    assert body["usage"] == {"prompt_tokens": 100, "completion_tokens": 9}
    assert answer.timings_ms["generation"] == 3.0
    assert answer.timings_ms["total"] > 0
    assert (answer.conversation_id, answer.grounding) == (None, None)
    assert not others.talks[0].cancelled.is_set()


async def test_what_is_wanted_is_passed_on(gateway: Gateway) -> None:
    wishes = {"mode": "sparse", "limit": 3, "expand": 900, "diversity": 0.5, "rerank": False, "space": "e5"}
    condition = {"op": "eq", "field": "department", "value": "hr"}
    options = {"max_tokens": 50, "grounding": True}
    sentence = SentenceGrounding(text="Everyone has 28 days.", score=0.9)

    async def grounded(talk: Talk) -> None:
        await talk.open(standalone="How many days of leave?", space="e5")
        await talk.end(grounding=(sentence,), finish="length")

    async with answering(gateway.jetstream, gateway.topology, grounded) as others:
        body = {"question": "days", "collections": ["handbook"], "filter": condition, **wishes, **options}
        answer = (await gateway.http.post("/v1/ask", json=body)).json()
    query = others.talks[0].query
    assert query.model_dump(include=set(wishes)) == wishes
    assert query.filter == Eq(field="department", value="hr")
    assert (query.tenant, query.principals) == ("default", ("*", "key:bootstrap"))
    assert query.collections == ("handbook",)
    assert query.answer is not None
    assert query.answer.model_dump(include=set(options)) == options
    assert query.answer.history == ()
    assert answer["grounding"] == [sentence.model_dump()]
    assert (answer["finish"], answer["usage"], answer["space"]) == ("length", None, "e5")
    assert answer["standalone_question"] == "How many days of leave?"


@pytest.mark.parametrize("asked_by", ["field", "header"])
async def test_events_come_in_their_order(gateway: Gateway, asked_by: str) -> None:
    wish: dict[str, Any] = {"json": {"question": "days"}, "headers": {"Accept": "text/event-stream"}}
    async with answering(gateway.jetstream, gateway.topology, well):
        if asked_by == "field":
            events = await streamed(gateway.http)
        else:
            async with gateway.http.stream("POST", "/v1/ask", **wish) as response:
                events = [event async for event in events_of(response)]
    names = [name for name, _ in events]
    assert names == ["passages", "delta", "delta", "delta", "citation", "done"]
    opening, ending = events[0][1], events[-1][1]
    assert opening["answer_id"] == ending["answer_id"]
    assert opening["passages"][0]["n"] == 1
    assert opening.keys() == {
        *("answer_id", "conversation_id", "standalone_question", "passages", "adapter", "model"),
        *("prompt_version", "mode", "space", "degraded", "reason", "cached"),
    }
    assert ending.keys() == {
        *("answer_id", "answered", "finish", "grounding", "usage", "timings_ms", "degraded", "reason"),
    }
    assert text_of(events) == "Everyone has 28 days [1]."
    assert events[-2][1] == CITATION.model_dump(mode="json")


async def test_passages_are_there_before_the_first_token(gateway: Gateway) -> None:
    seen = asyncio.Event()

    async def patient(talk: Talk) -> None:
        await talk.open()
        await seen.wait()
        await talk.say("text")
        await talk.end()

    async with (
        answering(gateway.jetstream, gateway.topology, patient),
        asyncio.timeout(PATIENCE),
        gateway.http.stream("POST", "/v1/ask", json={"question": "days", "stream": True}) as response,
        aclosing(events_of(response)) as events,
    ):
        assert (await anext(events))[0] == "passages"
        seen.set()
        assert [name async for name, _ in events] == ["delta", "done"]


async def test_a_second_attempt_starts_the_text_anew(gateway: Gateway) -> None:
    """A killed generator's question is answered by another one; the first comes back to life at times."""
    seen = asyncio.Event()

    async def twice(talk: Talk) -> None:
        await talk.open(1)
        await talk.say("first ", CITATION)
        await seen.wait()
        late = AnswerDelta(query_id=talk.query.query_id, attempt=1, sequence=2, text="late ")
        assert await talk.open(3, degraded=True, reason="the model has failed")
        await talk.send(late)
        await talk.say("second ")
        assert not await talk.request(late)
        assert await talk.open(3)
        talk.sequence = 1
        await talk.say("attempt")
        await talk.end()

    async with (
        answering(gateway.jetstream, gateway.topology, twice),
        gateway.http.stream("POST", "/v1/ask", json={"question": "days", "stream": True}) as response,
    ):
        events = []
        async for event in events_of(response):
            events.append(event)
            if event[0] == "citation":
                seen.set()
        answer = (await gateway.http.post("/v1/ask", json={"question": "days", "cache": False})).json()
    names = [name for name, _ in events]
    assert names == ["passages", "delta", "citation", "restart", "passages", "delta", "delta", "done"]
    assert events[3][1] == {"attempt": 3}
    assert text_of(events) == answer["answer"] == "second attempt"
    assert answer["citations"] == []
    assert answer["degraded"]
    assert events[-1][1]["reason"] == answer["reason"] == "the model has failed"


async def test_a_failure_of_an_attempt_that_was_overtaken_is_dropped(gateway: Gateway) -> None:
    async def overtaken(talk: Talk) -> None:
        query_id = talk.query.query_id
        await talk.open(1)
        await talk.open(3)
        await talk.say("28 ")
        await talk.send(QueryFailed(query_id=query_id, attempt=2, code="internal_error", message="killed"))
        await talk.send(QueryFailed(query_id=query_id, code="embedder_unavailable", message="searched again"))
        await talk.say("days")
        await talk.end()

    async with answering(gateway.jetstream, gateway.topology, overtaken):
        events = await streamed(gateway.http)
    assert events[-1][0] == "done"
    assert text_of(events) == "28 days"


async def gap(talk: Talk) -> None:
    await talk.open()
    await talk.say("one")
    talk.sequence += 1
    assert not await talk.ask("three")
    await talk.cancelled.wait()


async def garbage(talk: Talk) -> None:
    await talk.open()
    await talk._client.publish(talk.query.reply_to, b'{"kind": "passages"}')
    await talk.cancelled.wait()


@pytest.mark.parametrize("script", [gap, garbage])
async def test_a_piece_that_is_missing_is_an_error(gateway: Gateway, script: Any) -> None:
    async with answering(gateway.jetstream, gateway.topology, script) as others, asyncio.timeout(PATIENCE):
        events = await streamed(gateway.http)
        response = await gateway.http.post("/v1/ask", json={"question": "days"})
        await eventually(lambda: finished(others, 2))
    assert events[-1][0] == "error"
    assert (events[-1][1]["code"], events[-1][1]["status"]) == ("answer_interrupted", 503)
    problem(response, 503, "answer_interrupted")


async def test_the_deadline_is_a_problem_or_an_event(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async def never_ends(talk: Talk) -> None:
        if talk.query.question.startswith("begin"):
            await talk.open()
        await talk.cancelled.wait()

    async with (
        running_gateway(place, registry, jetstream, ask_timeout=1.5) as gateway,
        answering(jetstream, place.topology, never_ends) as others,
    ):
        events, *responses = await asyncio.gather(
            streamed(gateway.http, "begin"),
            gateway.http.post("/v1/ask", json={"question": "begin, and wait"}),
            gateway.http.post("/v1/ask", json={"question": "days"}),
            gateway.http.post("/v1/ask", json={"question": "days of leave", "stream": True}),
        )
        for response in responses:
            problem(response, 504, "deadline_exceeded")
        await eventually(lambda: finished(others, 4))
    assert [name for name, _ in events] == ["passages", "error"]
    assert (events[1][1]["code"], events[1][1]["status"]) == ("deadline_exceeded", 504)


async def test_a_client_that_hangs_up_ends_the_work(gateway: Gateway) -> None:
    """Before the first event and after it, streaming and not."""

    async def endless(talk: Talk) -> None:
        if talk.query.question == "begin":
            assert await talk.open()
        await talk.cancelled.wait()
        assert not await talk.open(2)
        assert not await talk.ask("more")

    async with answering(gateway.jetstream, gateway.topology, endless) as others, asyncio.timeout(PATIENCE):
        for number, (question, stream) in enumerate(
            [("wait", True), ("wait", False), ("begin", True), ("begin", False)], 1
        ):
            body = {"question": question, "stream": stream}
            asking = asyncio.create_task(gateway.http.post("/v1/ask", json=body))
            await eventually(lambda count=number: asked(others, count))
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await eventually(lambda count=number: finished(others, count))
    metrics = (await gateway.http.get("/metrics")).text
    assert 'rag_questions_total{outcome="cancelled"} 4.0' in metrics
    assert "rag_open_answers 0.0" in metrics


async def test_an_opening_that_nobody_asked_for_is_not_wanted(gateway: Gateway) -> None:
    async with answering(gateway.jetstream, gateway.topology, well) as others:
        await gateway.http.post("/v1/ask", json={"question": "days"})
        (talk,) = others.talks
        assert not await talk.open(7)


async def test_who_asks_cannot_name_a_subject_of_the_gateway(gateway: Gateway) -> None:
    """Whoever may write to the inbox would otherwise make the gateway publish where it alone may."""
    jobs = gateway.topology.subject(IngestDocument, lane="interactive", tenant="other")

    async def play(talk: Talk) -> None:
        delta = AnswerDelta(query_id=talk.query.query_id, attempt=1, sequence=1, text="28 days")
        await talk.open()
        await gateway.jetstream._nc.publish(talk.query.reply_to, delta.encode(), reply=jobs)
        talk.sequence = 1
        assert await talk.ask("")
        await talk.end()

    async with answering(gateway.jetstream, gateway.topology, play):
        events = await streamed(gateway.http)
    assert text_of(events) == "28 days"
    assert not (await gateway.jetstream.stream_info(gateway.topology.stream("INGEST"))).state.messages


@pytest.mark.parametrize(
    ("code", "status"),
    [("unknown_space", 404), ("no_reranker", 422), ("something_odd", 500), ("embedder_unavailable", 503)],
)
async def test_a_failure_is_a_problem_or_an_event(gateway: Gateway, code: str, status: int) -> None:
    async def fail(talk: Talk) -> None:
        if talk.query.question == "begin":
            await talk.open()
        await talk.fail(code, "a matter of the retriever")

    shown = "internal_error" if status == 500 else code
    async with answering(gateway.jetstream, gateway.topology, fail):
        for stream in (False, True):
            response = await gateway.http.post("/v1/ask", json={"question": "days", "stream": stream})
            body = problem(response, status, shown)
            assert ("matter of the retriever" in body["detail"]) == (status != 500)
        (_, (name, data)) = await streamed(gateway.http, "begin")
    assert name == "error"
    assert (data["code"], data["status"]) == (shown, status)


async def test_messages_are_in_the_language_of_the_client(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async def lexical(talk: Talk) -> None:
        await talk.open(degraded=True, reason="only lexical search: no embedder is running")
        if talk.query.question == "end":
            await talk.end()

    russian = "только поиск по словам: эмбеддер не запущен"
    async with (
        running_gateway(place, registry, jetstream, ask_timeout=1.5) as gateway,
        answering(jetstream, place.topology, lexical),
    ):
        gateway.http.headers["Accept-Language"] = "ru"
        response = await gateway.http.post("/v1/ask", json={"question": "end"})
        events = await streamed(gateway.http)
    assert response.headers["content-language"] == "ru"
    assert response.json()["reason"] == events[0][1]["reason"] == russian
    assert events[-1][1]["detail"] == "на вопрос не успели ответить; спросите снова чуть позже"


async def test_outcomes_are_counted(gateway: Gateway) -> None:
    async def play(talk: Talk) -> None:
        await talk.open(degraded=talk.query.question == "degraded", cached=talk.query.question == "cached")
        if talk.query.question == "failed":
            await talk.fail("no_reranker", "no")
        await talk.end(answered=talk.query.question != "not_found")

    outcomes = ["answered", "not_found", "degraded", "cached", "failed"]
    async with answering(gateway.jetstream, gateway.topology, play):
        for outcome in outcomes:
            await gateway.http.post("/v1/ask", json={"question": outcome})
    metrics = (await gateway.http.get("/metrics")).text
    for outcome in outcomes:
        assert f'rag_questions_total{{outcome="{outcome}"}} 1.0' in metrics
    assert "rag_answer_first_event_seconds_count 5.0" in metrics
    assert "rag_answer_seconds_count 5.0" in metrics


async def test_more_questions_than_one_gateway_takes_are_refused(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async with running_gateway(place, registry, jetstream, max_questions=1) as gateway:
        waiting = asyncio.create_task(gateway.http.post("/v1/ask", json={"question": "first"}))
        await eventually(lambda: queued(gateway))
        for stream in (True, False):
            response = await gateway.http.post("/v1/ask", json={"question": "second", "stream": stream})
            problem(response, 503, "overloaded")
            assert int(response.headers["retry-after"]) >= 1
        async with answering(gateway.jetstream, gateway.topology, well):
            assert (await waiting).status_code == 200


async def test_a_full_queue_of_questions_is_back_pressure(gateway: Gateway) -> None:
    stream = gateway.topology.stream("QUERY")
    config = (await gateway.jetstream.stream_info(stream)).config
    await gateway.jetstream.update_stream(config.evolve(max_msgs_per_subject=1))
    waiting = asyncio.create_task(gateway.http.post("/v1/ask", json={"question": "first"}))
    await eventually(lambda: queued(gateway))
    response = await gateway.http.post("/v1/ask", json={"question": "second", "stream": True})
    problem(response, 503, "overloaded")
    assert int(response.headers["retry-after"]) >= 1
    async with answering(gateway.jetstream, gateway.topology, well):
        assert (await waiting).status_code == 200


async def test_an_idle_answer_shows_that_it_lives(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    """Also while the generator asks, with deltas without text, whether it is still wanted."""
    seen = asyncio.Event()

    async def slow(talk: Talk) -> None:
        await talk.open()
        async with asyncio.timeout(PATIENCE):
            while not seen.is_set():
                assert await talk.ask("")
        await talk.end()

    async with (
        running_gateway(place, registry, jetstream, event_heartbeat=0.1) as gateway,
        answering(jetstream, place.topology, slow),
        gateway.http.stream("POST", "/v1/ask", json={"question": "days", "stream": True}) as response,
    ):
        async for line in response.aiter_lines():
            if line == ": still here":
                seen.set()
    assert seen.is_set()


async def test_a_stopping_gateway_lets_answers_finish(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    go_on = asyncio.Event()

    async def slow(talk: Talk) -> None:
        await talk.open()
        await go_on.wait()
        if talk.query.question == "short":
            await talk.end()
        else:
            await talk.cancelled.wait()

    async with (
        running_gateway(place, registry, jetstream, graceful_timeout=1.0) as gateway,
        answering(jetstream, place.topology, slow) as others,
    ):
        short = asyncio.create_task(streamed(gateway.http, "short"))
        long = asyncio.create_task(streamed(gateway.http, "long"))
        whole = asyncio.create_task(gateway.http.post("/v1/ask", json={"question": "also long"}))
        await eventually(lambda: asked(others, 3))
        gateway.stopping.set()
        go_on.set()
        await asyncio.gather(short, long, whole)
    assert [name for name, _ in short.result()] == ["passages", "done"]
    ((first, _), (last, error)) = long.result()
    assert (first, last) == ("passages", "error")
    assert (error["code"], error["status"]) == ("unavailable", 503)
    problem(whole.result(), 503, "unavailable")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": ""},
        {"question": "  "},
        {"question": "a\x00"},
        {"question": "x" * 4001},
        {"question": "days", "limit": 51},
        {"question": "days", "max_tokens": 0},
        {"question": "days", "max_tokens": 8193},
        {"question": "days", "conversation_id": "7"},
        {"question": "days", "stream": "maybe"},
        {"question": "days", "query": "days"},
        {"question": "days", "filter": {"op": "and", "filters": []}},
    ],
)
async def test_a_bad_question_is_refused(gateway: Gateway, body: Any) -> None:
    problem(await gateway.http.post("/v1/ask", json=body), 422, "invalid_request")


async def test_what_does_not_exist_is_not_found(gateway: Gateway) -> None:
    body: Any = {"question": "days", "collections": ["handbok"], "stream": True}
    problem(await gateway.http.post("/v1/ask", json=body), 404, "unknown_collection")
    body = {"question": "days", "conversation_id": "6f1f1c1e-7a53-4a65-9a0a-2a1f3f1f0f11"}
    problem(await gateway.http.post("/v1/ask", json=body), 404, "unknown_conversation")
    assert not await gateway.stored(RetrievePassages)


async def asked(others: Others, count: int) -> bool | None:
    return len(others.talks) == count or None


async def finished(others: Others, count: int) -> bool | None:
    assert not others.failures, others.failures
    return len(others.finished) == count or None


async def queued(gateway: Gateway) -> bool | None:
    return bool(await gateway.stored(RetrievePassages)) or None
