"""The generator does all its work with the rights of its own NATS user, and the gateway with its own."""

import asyncio
import time

import nats
from generator_support import QUESTION, TEXT, Gateway, ScriptedLLM, question, running_generator

from rag_common.contracts import (
    DeadLetter,
    DescribeGenerator,
    GenerateAnswer,
    GeneratorDescription,
    QuestionRewritten,
    RewriteQuestion,
    Turn,
)
from rag_common.provision import provision
from rag_common.testing import NatsServer, nats_users
from rag_common.topology import Topology


async def test_its_rights_are_enough() -> None:
    topology = Topology("guarded")
    rights = {"nats_user": "generator", "nats_password": "generator"}
    follow_up = RewriteQuestion(
        query_id="q",
        deadline=time.time() + 60,
        question="And children?",
        history=(Turn(question=QUESTION, answer=TEXT),),
    )
    llm = ScriptedLLM(("28 days", " [1]."), ("How many days",), ("word ", asyncio.Event()))
    with NatsServer(users=nats_users(topology)) as server:
        operator = await nats.connect(server.url, user="operator", password="operator")
        await provision(operator.jetstream(), topology)
        user = {"user": "gateway", "password": "gateway", "inbox_prefix": "_INBOX_gateway"}
        client = await nats.connect(server.url, **user)
        retriever = Gateway(operator, topology)
        async with (
            running_generator(server.url, operator, topology, llm, **rights) as generator,
            Gateway(client, topology).listening() as gateway,
        ):
            await retriever.publish(first := question(topology))
            assert await gateway.text(first.query_id) == "28 days [1]."
            assert (await retriever.request(follow_up, QuestionRewritten)).question == "How many days"
            assert (await gateway.request(DescribeGenerator(), GeneratorDescription)).model == "scripted"
            await retriever.publish(second := question(topology))
            await gateway.begun(second.query_id)
            await gateway.cancel(second.query_id)
            await asyncio.wait_for(llm.closed.wait(), 20)
            letters = await operator.subscribe(topology.subject(DeadLetter, stage="generate"))
            await operator.jetstream().publish(topology.subject(GenerateAnswer), b"{")
            await letters.next_msg(timeout=10)
            await generator.idle()
        await client.close()
        await operator.close()
