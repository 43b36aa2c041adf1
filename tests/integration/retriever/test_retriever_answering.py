"""Questions on their way to the generator."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client
from nats.aio.msg import Msg
from retriever_support import Stack, eventually

from rag_common.broker import flush
from rag_common.contracts import (
    MAX_MESSAGE_BYTES,
    AnswerOptions,
    CancelQuery,
    EmbedQuery,
    GenerateAnswer,
    QuestionRewritten,
    RewriteQuestion,
    Turn,
)
from rag_common.topology import Topology

TEXTS = ["rotate the signing keys every ninety days", "the canteen opens at noon", "lunch is free on Fridays"]
HISTORY = AnswerOptions(history=(Turn(question="When does the canteen open?", answer="At noon [1]."),))


@asynccontextmanager
async def rewriter(
    client: Client, topology: Topology, reply: QuestionRewritten | None
) -> AsyncIterator[list[RewriteQuestion]]:
    """Answers ``rewrite.question``, or with ``None`` never does; yields the requests that it got."""
    requests: list[RewriteQuestion] = []

    async def answer(message: Msg) -> None:
        requests.append(RewriteQuestion.decode(message.data))
        if reply is not None:
            await message.respond(reply.encode())

    subscription = await client.subscribe(topology.subject(RewriteQuestion), cb=answer)
    await flush(client)
    yield requests
    await subscription.unsubscribe()


async def cancel(stack: Stack, query_id: str) -> None:
    body = CancelQuery(query_id=query_id).encode()
    await stack.client.publish(stack.topology.subject(CancelQuery, query=query_id), body)


async def waiting(stack: Stack) -> int:
    """Jobs of the stream QUERY that are not acknowledged."""
    info = await stack.client.jetstream().stream_info(stack.topology.stream("QUERY"))
    return info.state.messages


async def test_the_generator_gets_the_passages_and_nobody_else(
    stack: Stack, encoder: list[EmbedQuery]
) -> None:
    document = await stack.add_live("keys.md", TEXTS, title="Keys")
    query = stack.query("rotate signing keys", answer=AnswerOptions(max_tokens=50))
    replies = await stack.client.subscribe(query.reply_to)
    commands = await stack.client.subscribe(stack.topology.subject(GenerateAnswer))
    await flush(stack.client)
    await stack.publish(query)
    command = GenerateAnswer.decode((await commands.next_msg(timeout=10)).data)
    assert (command.query_id, command.reply_to, command.deadline, command.attempt) == (
        query.query_id,
        query.reply_to,
        query.deadline,
        1,
    )
    assert command.question == command.standalone == "rotate signing keys"
    assert command.options.max_tokens == 50
    best = command.found.passages[0]
    assert (best.document_id, best.text) == (document.document_id, TEXTS[0])
    assert best.leg_scores.keys() == {"dense", "sparse"}
    assert command.found.timings_ms.keys() == {"queue", "encode", "index", "registry"}
    await stack.find("a search behind it")
    assert replies.pending_msgs == 0


async def test_without_a_model_a_follow_up_takes_the_words_of_the_conversation(stack: Stack) -> None:
    await stack.add_live("keys.md", TEXTS)
    command = await stack.command("And on Fridays?", answer=HISTORY)
    assert command.question == "And on Fridays?"
    assert command.standalone == "canteen open: And on Fridays?"
    assert {passage.text for passage in command.found.passages} == {TEXTS[1], TEXTS[2]}
    assert await stack.has_metric('rag_questions_rewritten_total{by="words"}', 1)


async def test_the_model_rewrites_a_follow_up(stack: Stack) -> None:
    await stack.add_live("keys.md", TEXTS)
    reply = QuestionRewritten(question="Is lunch free in the canteen?")
    async with rewriter(stack.client, stack.topology, reply) as requests:
        command = await stack.command("And is it free?", answer=HISTORY)
    assert command.standalone == "Is lunch free in the canteen?"
    assert command.found.passages[0].text in TEXTS[1:]
    assert [(request.question, request.history) for request in requests] == [
        ("And is it free?", HISTORY.history)
    ]
    assert await stack.has_metric('rag_questions_rewritten_total{by="model"}', 1)


async def test_a_model_that_is_silent_or_talks_nonsense_is_done_without(stack: Stack) -> None:
    await stack.add_live("keys.md", TEXTS)
    refusal = QuestionRewritten(error="there is no model")
    for reply in (None, refusal, QuestionRewritten(question="Sure!\n1. Open\n2. Closed")):
        async with rewriter(stack.client, stack.topology, reply) as requests:
            command = await stack.command("And on Fridays?", answer=HISTORY, deadline=time.time() + 2)
        assert command.standalone == "canteen open: And on Fridays?"
        assert len(requests) == 1


async def test_a_cancelled_query_is_ended_and_not_begun_again(stack: Stack) -> None:
    query = stack.query("And on Fridays?", answer=HISTORY)
    async with rewriter(stack.client, stack.topology, None) as requests:
        await stack.publish(query)

        async def begun() -> bool:
            return len(requests) == 1

        await eventually(begun)
        await cancel(stack, query.query_id)

        async def acknowledged() -> bool:
            return await waiting(stack) == 0

        await eventually(acknowledged)
        await stack.publish(query)
        await eventually(acknowledged)
        assert len(requests) == 1
    assert await stack.has_metric("rag_queries_cancelled_total", 2)


async def test_a_question_waits_for_room_in_the_generators_queue(stack: Stack) -> None:
    await stack.add_live("keys.md", TEXTS)
    jetstream = stack.client.jetstream()
    name = stack.topology.stream("QUERY")
    config = (await jetstream.stream_info(name)).config
    config.max_msgs_per_subject = 3
    await jetstream.update_stream(config)
    for _ in range(3):
        await jetstream.publish(stack.topology.subject(GenerateAnswer), b"another question")
    asked = asyncio.create_task(stack.command("canteen"))
    await stack.find("a search passes by")
    assert not asked.done()
    pull = await jetstream.pull_subscribe_bind(consumer="generator", stream=name)
    (message,) = await pull.fetch(1, timeout=10)
    await message.ack()
    assert (await asked).found.passages[0].text == TEXTS[1]


async def test_what_no_message_holds_beside_the_conversation_is_left_out(stack: Stack) -> None:
    large = {"note": "x" * 15_000}
    await stack.add_live("a.md", [f"keys number {n}" for n in range(40)], metadata=large)
    turns = tuple(Turn(question="q" * 1000, answer="word " * 800) for _ in range(10))
    command = await stack.command("keys", limit=40, answer=AnswerOptions(history=turns))
    kept = len(command.found.passages)
    assert 0 < kept < 35
    assert str(command.found.reason).endswith(f"only {kept} of 40 passages fit into one answer")
    assert len(command.encode()) <= MAX_MESSAGE_BYTES
    assert command.options.history == turns
