"""The running service on a real NATS; the model is scripted."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import Any

import pytest
from generator_support import (
    QUESTION,
    TEXT,
    Gateway,
    Generator,
    ScriptedLLM,
    embedder,
    eventually,
    passage,
    question,
)
from nats.aio.client import Client

from rag_common.broker import flush
from rag_common.contracts import (
    AnswerOptions,
    DeadLetter,
    DescribeGenerator,
    GenerateAnswer,
    GeneratorDescription,
    QueryFailed,
    QuestionRewritten,
    RewriteQuestion,
    Turn,
)
from rag_common.topology import Topology
from rag_generator.adapters.replies import NatsReplies
from rag_generator.domain import answering, drafts, guarding, transmission
from rag_generator.domain.breaker import FAILURES
from rag_generator.domain.llm import ModelMissing, ModelRefused, ModelUnavailable
from rag_generator.domain.ports import NobodyListens

Running = Callable[..., AbstractAsyncContextManager[Generator]]

WORDS = ("Everyone has", " 28", " days", " [1]", ", and not", " 30 [7]", ".")
UNAVAILABLE = ModelUnavailable("the endpoint broke off")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model has 0.3 s to begin, while the deadline of a question is as far away as ever."""
    monkeypatch.setattr(drafts, "RESERVE", 0.995)


async def test_the_passages_come_first_and_then_the_text_without_a_gap(
    running: Running, gateway: Gateway
) -> None:
    llm = ScriptedLLM(WORDS)
    async with running(llm):
        query = await gateway.ask()
        assert await gateway.text(query) == "Everyone has 28 days [1], and not 30."
    [opened] = gateway.opened(query)
    assert gateway.frames[query][0] == gateway.asked[query][0] == opened
    assert (opened.attempt, opened.adapter, opened.model) == (1, "openai", "scripted")
    assert [found.text for found in opened.passages] == [TEXT]
    assert not opened.degraded
    assert gateway.citations(query) == [1]
    done = gateway.done(query)
    assert (done.answered, done.finish) == (True, "stop")
    assert (done.prompt_tokens, done.completion_tokens) == (100, len(WORDS))
    assert done.timings_ms.keys() == {"queue", "index", "first_token", "generation"}
    [prompt] = llm.prompts
    assert TEXT in "".join(message.content for message in prompt.messages)


async def test_a_refused_opening_costs_no_model(running: Running, gateway: Gateway) -> None:
    llm = ScriptedLLM(WORDS)
    async with running(llm) as generator:
        refused = question(gateway.topology)
        gateway.unwanted.add(refused.query_id)
        await gateway.publish(refused)
        await generator.idle()
        assert await generator.metric("rag_answers_unwanted_total") == 1
    assert len(gateway.frames[refused.query_id]) == 1
    assert llm.prompts == []


async def test_the_question_of_a_dead_gateway_is_dropped(
    running: Running, nats_client: Client, provisioned: Topology
) -> None:
    llm = ScriptedLLM(WORDS)
    async with running(llm) as generator:
        await Gateway(nats_client, provisioned).ask()
        await generator.idle()
        assert await generator.metric("rag_answers_unwanted_total") == 1
    assert llm.prompts == []


@pytest.mark.parametrize("script", [("word ",) * 3, ()], ids=["in-the-middle", "before-the-first-word"])
async def test_a_gateway_that_dies_ends_the_model(
    running: Running,
    nats_client: Client,
    provisioned: Topology,
    monkeypatch: pytest.MonkeyPatch,
    script: tuple[str, ...],
) -> None:
    monkeypatch.setattr(transmission, "RETURNS_WITHIN", 0.1)
    llm = ScriptedLLM((*script, asyncio.Event()))
    async with running(llm) as generator:
        async with Gateway(nats_client, provisioned).listening() as gateway:
            query = await gateway.ask()
            await gateway.until(lambda: bool(gateway.frames[query]))
            await wait_for_model(llm)
        await asyncio.wait_for(llm.closed.wait(), 20)
        await generator.idle()
        assert await generator.metric("rag_answers_unwanted_total") == 1


@pytest.mark.parametrize("rest", [("more",), (UNAVAILABLE,), ()], ids=["writing", "failed", "done"])
async def test_a_gateway_that_reconnects_gets_the_rest_of_its_answer(
    running: Running,
    nats_client: Client,
    provisioned: Topology,
    monkeypatch: pytest.MonkeyPatch,
    rest: tuple[str | Exception, ...],
) -> None:
    """It sees by the numbers that something is missing; an answer begun anew has nothing missing."""
    monkeypatch.setattr(transmission, "STILL_WANTED", 0.05)
    monkeypatch.setattr(transmission, "RETURNS_WITHIN", 60.0)
    monkeypatch.setattr(answering, "RETURNS_WITHIN", 60.0)
    go_on = asyncio.Event()
    gateway = Gateway(nats_client, provisioned)
    missed = asyncio.Event()
    wanted = NatsReplies.wanted

    async def noticing(*args: Any) -> bool:
        try:
            return await wanted(*args)
        except NobodyListens:
            missed.set()
            raise

    monkeypatch.setattr(NatsReplies, "wanted", noticing)
    async with running(ScriptedLLM(("word ", go_on, *rest))) as generator:
        async with gateway.listening():
            query = await gateway.ask()
            await gateway.begun(query)
        await asyncio.wait_for(missed.wait(), 20)
        async with gateway.listening():
            go_on.set()
            await gateway.ended(query)
            await generator.idle()
        assert await generator.metric("rag_answers_total") == 1


async def test_pieces_that_are_requests_keep_their_place(
    running: Running, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transmission, "STILL_WANTED", 0.0)
    words = [f"word{number} " for number in range(2000)]
    async with running(ScriptedLLM(words)):
        query = await gateway.ask()
        assert await gateway.text(query) == "".join(words)
    assert len(gateway.asked[query]) > 1


async def test_an_answer_that_is_not_wanted_any_more_ends_the_model(
    running: Running, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transmission, "STILL_WANTED", 0.0)
    llm = ScriptedLLM(("word ", asyncio.Event()))
    async with running(llm) as generator:
        query = await gateway.ask()
        await gateway.begun(query)
        gateway.unwanted.add(query)
        await asyncio.wait_for(llm.closed.wait(), 20)
        await generator.idle()
        assert await generator.metric("rag_answers_unwanted_total") == 1


async def test_a_client_that_leaves_ends_the_model(running: Running, gateway: Gateway) -> None:
    llm = ScriptedLLM(("word ", asyncio.Event()))
    async with running(llm) as generator:
        query = await gateway.ask()
        await gateway.begun(query)
        await gateway.cancel(query)
        await asyncio.wait_for(llm.closed.wait(), 20)
        await generator.idle()
        assert await generator.metric("rag_answers_unwanted_total") == 1


async def test_a_waiting_question_of_a_client_that_left_is_never_begun(
    running: Running, gateway: Gateway
) -> None:
    go_on = asyncio.Event()
    llm = ScriptedLLM(("word ", go_on), WORDS)
    async with running(llm, answer_workers=1) as generator:
        first = await gateway.ask()
        await gateway.begun(first)
        waiting = await gateway.ask()
        await gateway.cancel(waiting)
        third = await gateway.ask()
        go_on.set()
        await gateway.text(third)
        await generator.idle()
    assert gateway.frames[waiting] == []
    assert len(llm.prompts) == 2


async def test_a_redelivered_question_is_answered_with_a_higher_attempt(
    running: Running, gateway: Gateway, nats_client: Client, provisioned: Topology
) -> None:
    query = await gateway.ask(attempt=2)
    consumer = provisioned.consumer("generator")
    crashing = await nats_client.jetstream().pull_subscribe_bind(consumer.name, consumer.stream)
    [delivery] = await crashing.fetch(1, timeout=10)
    await delivery.nak()
    await flush(nats_client)
    async with running(ScriptedLLM(WORDS)):
        await gateway.text(query)
    assert [opened.attempt for opened in gateway.opened(query)] == [9]


@pytest.mark.parametrize(
    "script",
    [
        ("Everyone ", "has 3", UNAVAILABLE),
        (UNAVAILABLE,),
        (ModelMissing("there is no such model"),),
        (ModelRefused("the prompt is too long"),),
        (" ", "\n"),
    ],
    ids=["in-the-middle", "at-once", "missing", "refused", "nothing-written"],
)
async def test_quotations_take_the_place_of_a_model_that_fails(
    running: Running, gateway: Gateway, script: tuple[str | Exception, ...]
) -> None:
    async with running(ScriptedLLM(script)) as generator:
        query = await gateway.ask()
        assert "28 days" in await gateway.text(query)
        await generator.idle()
        assert await generator.metric("rag_answers_degraded_total") == 1
    first, second = gateway.opened(query)
    assert (first.attempt, first.adapter, first.degraded) == (1, "openai", False)
    assert (second.attempt, second.adapter, second.model) == (2, "extractive", None)
    assert second.degraded
    assert second.reason
    assert gateway.done(query).answered


async def test_without_a_model_sentences_are_quoted(running: Running, gateway: Gateway) -> None:
    async with running(None):
        query = await gateway.ask()
        assert "28 days" in await gateway.text(query)
    [opened] = gateway.opened(query)
    assert (opened.adapter, opened.model, opened.degraded) == ("extractive", None, False)
    assert gateway.citations(query) == [1]


async def test_what_the_documents_do_not_say_is_asked_of_no_model(running: Running, gateway: Gateway) -> None:
    llm = ScriptedLLM(WORDS)
    async with running(llm):
        query = await gateway.ask(passages=())
        assert await gateway.text(query)
    assert gateway.opened(query)[0].passages == ()
    assert not gateway.done(query).answered
    assert llm.prompts == []


async def test_expired_questions_are_dropped_and_counted(running: Running, gateway: Gateway) -> None:
    llm = ScriptedLLM(WORDS)
    async with running(llm) as generator:
        query = await gateway.ask(seconds=-1)
        await generator.idle()
        assert await generator.metric("rag_answers_expired_total") == 1
    assert gateway.frames[query] == []
    assert llm.prompts == []


async def test_a_deadline_in_the_middle_is_told_and_ends_the_model(
    running: Running, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = ScriptedLLM(("word ", asyncio.Event()))
    asked = question(gateway.topology)
    # However long the question has waited, it is taken up half a second before its deadline.
    clock = SimpleNamespace(time=lambda: asked.deadline - 0.5, monotonic=time.monotonic)
    monkeypatch.setattr(answering, "time", clock)
    async with running(llm):
        query = asked.query_id
        await gateway.publish(asked)
        failed = (await gateway.ended(query))[-1]
        assert isinstance(failed, QueryFailed)
        assert failed.code == "deadline_exceeded"
        assert llm.running == 0


async def test_a_model_that_does_not_begin_is_not_waited_for_until_the_deadline(
    running: Running, gateway: Gateway, impatient: None
) -> None:
    llm = ScriptedLLM((asyncio.Event(),))
    async with running(llm):
        query = await gateway.ask()
        assert "28 days" in await gateway.text(query)
        assert llm.running == 0
    assert [opened.degraded for opened in gateway.opened(query)] == [False, True]


async def test_a_model_that_keeps_failing_is_done_without_in_one_opening(
    running: Running, gateway: Gateway
) -> None:
    llm = ScriptedLLM((UNAVAILABLE,))
    async with running(llm) as generator:
        for _ in range(FAILURES):
            await gateway.text(await gateway.ask())
        query = await gateway.ask()
        assert "28 days" in await gateway.text(query)
        await generator.idle()
        assert await generator.metric("rag_answers_degraded_total") == FAILURES + 1
    [opened] = gateway.opened(query)
    assert (opened.attempt, opened.adapter, opened.model, opened.degraded) == (1, "extractive", None, True)
    assert "given a rest" in (opened.reason or "")
    assert len(llm.prompts) == FAILURES


async def test_a_model_that_never_begins_is_soon_left_alone(
    running: Running, gateway: Gateway, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the questions have less time than the model would have."""
    monkeypatch.setattr(guarding, "FAIR_CHANCE", 0.0)
    llm = ScriptedLLM((asyncio.Event(),))
    async with running(llm):
        for query in [await gateway.ask() for _ in range(FAILURES)]:
            await gateway.text(query)
        query = await gateway.ask()
        await gateway.text(query)
    assert len(gateway.opened(query)) == 1
    assert len(llm.prompts) == FAILURES


async def test_two_answers_at_once_do_not_mix(running: Running, gateway: Gateway) -> None:
    turns = [asyncio.Event() for _ in range(4)]
    llm = ScriptedLLM(
        ("red ", turns[0], "red ", turns[2], "red"), ("blue ", turns[1], "blue ", turns[3], "blue")
    )
    async with running(llm):
        red = await gateway.ask()
        await gateway.begun(red)
        blue = await gateway.ask()
        await gateway.begun(blue)
        for turn in turns:
            turn.set()
            await asyncio.sleep(0)
        assert await gateway.text(red) == "red red red"
        assert await gateway.text(blue) == "blue blue blue"


async def test_a_generator_that_stops_finishes_its_answers(running: Running, gateway: Gateway) -> None:
    go_on = asyncio.Event()
    llm = ScriptedLLM(("first, ", go_on, "last"))

    async def go_on_when_stopping(generator: Generator) -> None:
        await eventually(lambda: stopping(generator))
        go_on.set()

    async with running(llm) as generator:
        query = await gateway.ask()
        await gateway.begun(query)
        going_on = asyncio.create_task(go_on_when_stopping(generator))
    await going_on
    assert await gateway.text(query) == "first, last"


async def test_the_caller_says_how_long_an_answer_may_be(running: Running, gateway: Gateway) -> None:
    llm = ScriptedLLM(WORDS)
    async with running(llm):
        await gateway.text(await gateway.ask(options=AnswerOptions(max_tokens=64)))
        await gateway.text(await gateway.ask(options=AnswerOptions(max_tokens=8192)))
        await gateway.text(await gateway.ask())
    assert [prompt.max_tokens for prompt in llm.prompts] == [64, llm.context_tokens // 2, 512]


async def test_sentences_are_compared_with_what_they_cite(
    running: Running, gateway: Gateway, nats_client: Client, provisioned: Topology
) -> None:
    async with running(ScriptedLLM(WORDS)), embedder(nats_client, provisioned) as requests:
        query = await gateway.ask(options=AnswerOptions(grounding=True))
        await gateway.text(query)
        [sentence] = gateway.done(query).grounding or ()
        assert (sentence.text, sentence.score) == ("Everyone has 28 days [1], and not 30.", 1.0)
        assert [request.side for request in requests] == ["passage"]
        plain = await gateway.ask()
        await gateway.text(plain)
    assert gateway.done(plain).grounding is None


async def test_without_an_embedder_an_answer_is_not_grounded(running: Running, gateway: Gateway) -> None:
    async with running(ScriptedLLM(WORDS)):
        query = await gateway.ask(options=AnswerOptions(grounding=True))
        await gateway.text(query)
    assert gateway.done(query).grounding is None


async def test_an_unexpected_failure_is_told_and_kept(
    running: Running, gateway: Gateway, nats_client: Client, provisioned: Topology
) -> None:
    letters = await nats_client.subscribe(provisioned.subject(DeadLetter, stage="generate"))
    async with running(ScriptedLLM((ValueError("a bug"),))):
        query = await gateway.ask()
        failed = (await gateway.ended(query))[-1]
        assert isinstance(failed, QueryFailed)
        assert failed.code == "internal_error"
        letter = DeadLetter.decode((await letters.next_msg(timeout=20)).data)
        assert letter.code == "internal_error"


async def test_a_follow_up_is_rewritten(running: Running, gateway: Gateway) -> None:
    async with running(ScriptedLLM(("\n How many days", " have children?", "\nBecause", asyncio.Event()))):
        reply = await gateway.request(follow_up(), QuestionRewritten)
    assert (reply.question, reply.error) == ("How many days have children?", None)


@pytest.mark.parametrize(
    ("llm", "seconds"),
    [
        (None, 60.0),
        (ScriptedLLM((UNAVAILABLE,)), 60.0),
        (ScriptedLLM(("\n",)), 60.0),
        (ScriptedLLM(("word", asyncio.Event())), 0.3),
    ],
    ids=["no-model", "unavailable", "nothing-written", "too-slow"],
)
async def test_a_follow_up_that_cannot_be_rewritten_is_an_error(
    running: Running, gateway: Gateway, llm: ScriptedLLM | None, seconds: float
) -> None:
    async with running(llm):
        reply = await gateway.request(follow_up(seconds), QuestionRewritten)
    assert reply.question is None
    assert reply.error
    assert llm is None or llm.running == 0


async def test_a_follow_up_that_is_out_of_time_is_asked_of_no_model(
    running: Running, gateway: Gateway
) -> None:
    llm = ScriptedLLM(WORDS)
    async with running(llm):
        assert (await gateway.request(follow_up(-1), QuestionRewritten)).error
    assert llm.prompts == []


async def test_a_follow_up_does_not_wait_for_the_answers_of_others(
    running: Running, gateway: Gateway
) -> None:
    go_on = asyncio.Event()
    llm = ScriptedLLM(("word ", go_on))
    async with running(llm):
        answers = [await gateway.ask() for _ in range(4)]
        for query in answers:
            await gateway.begun(query)
        reply = await gateway.request(follow_up(), QuestionRewritten)
        assert "busy" in (reply.error or "")
        go_on.set()
        for query in answers:
            await gateway.ended(query)
    assert len(llm.prompts) == 4


async def test_the_rewriting_for_a_client_that_left_ends(running: Running, gateway: Gateway) -> None:
    llm = ScriptedLLM(("How", asyncio.Event()))
    async with running(llm):
        asked = asyncio.create_task(gateway.request(follow_up(), QuestionRewritten))

        async def rewriting() -> bool:
            return llm.running == 1

        await eventually(rewriting)
        await gateway.cancel("q")
        assert (await asked).error
        assert llm.running == 0


async def test_the_generator_says_who_writes(running: Running, gateway: Gateway) -> None:
    async with running(ScriptedLLM(WORDS)):
        description = await gateway.request(DescribeGenerator(), GeneratorDescription)
    assert (description.adapter, description.model, description.reason) == ("openai", "scripted", None)
    assert description.models == ("scripted",)
    assert description.prompt_version


async def test_it_is_ready_without_its_model_and_says_so(running: Running, gateway: Gateway) -> None:
    llm = ScriptedLLM(WORDS)
    llm.problem = UNAVAILABLE
    async with running(llm) as generator:
        assert await generator.is_ready()
        description = await gateway.request(DescribeGenerator(), GeneratorDescription)
        assert description.reason == UNAVAILABLE.message
        assert await generator.metric("rag_model_unavailable") == 1


def follow_up(seconds: float = 60.0) -> RewriteQuestion:
    """``seconds`` from now until nobody waits for it any more."""
    return RewriteQuestion(
        query_id="q",
        deadline=time.time() + seconds,
        question="And children?",
        history=(Turn(question=QUESTION, answer=TEXT),),
    )


async def stopping(generator: Generator) -> bool:
    return not await generator.is_ready()


async def wait_for_model(llm: ScriptedLLM) -> None:
    async with asyncio.timeout(20):
        while not llm.running:  # noqa: ASYNC110 - a fake tells no more
            await asyncio.sleep(0.005)


def test_passages_fit_the_contract(topology: Topology) -> None:
    """Of the support itself: what the tests publish is what a retriever could."""
    message = question(topology, passages=(passage(), passage("Another one.")))
    assert GenerateAnswer.decode(message.encode()) == message
