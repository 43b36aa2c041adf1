"""Wires the generator together: the only place that knows every part."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from rag_common.broker import Broker, Publisher, consume, create_broker
from rag_common.broker.cancellation import Cancellations
from rag_common.contracts import DescribeGenerator, EmbedQuery, GenerateAnswer, RewriteQuestion
from rag_common.service import make_service, serve
from rag_common.topology import Topology
from rag_generator.adapters.embedder import NatsSentenceEncoder
from rag_generator.adapters.metrics import AnswerMetrics, ModelReport
from rag_generator.adapters.models import open_models
from rag_generator.adapters.replies import NatsReplies
from rag_generator.adapters.templates import load_prompts
from rag_generator.domain.answering import AnswerQuestion
from rag_generator.domain.choosing import Models
from rag_generator.domain.drafts import Drafts
from rag_generator.domain.extractive import Extractor
from rag_generator.domain.prompting import Prompts
from rag_generator.domain.rewriting import RewriteFollowUp
from rag_generator.handlers import answer_describing, answer_handler, answer_rewriting
from rag_generator.settings import GeneratorSettings

CONSUMER = "generator"
QUEUE_GROUP = "generator"
"""Of all replicas: each request goes to one of them."""

OpenModels = Callable[[GeneratorSettings], AbstractAsyncContextManager[Models]]


def create_app(settings: GeneratorSettings, open_models: OpenModels = open_models) -> Starlette:
    """The service: probes and metrics over HTTP, everything else over NATS."""
    broker = create_broker(settings, "generator")
    topology = Topology(settings.namespace)
    return make_service(
        settings,
        broker,
        service="generator",
        lifespan=partial(_generator, settings, broker, topology, open_models),
        checks={},
        consumers=(CONSUMER,),
        topology=topology,
    )


@asynccontextmanager
async def _generator(
    settings: GeneratorSettings, broker: Broker, topology: Topology, open_models: OpenModels
) -> AsyncIterator[None]:
    prompts = load_prompts(settings.prompts_dir)
    async with open_models(settings) as models:
        cancellations = Cancellations(broker, topology)
        _consume(settings, broker, topology, models, prompts, cancellations)
        _answer_requests(settings, broker, topology, models, prompts, cancellations)
        report = asyncio.create_task(ModelReport(models, broker.metrics).run())
        try:
            yield
        finally:
            report.cancel()
            await asyncio.gather(report, return_exceptions=True)


def _consume(
    settings: GeneratorSettings,
    broker: Broker,
    topology: Topology,
    models: Models,
    prompts: Prompts,
    cancellations: Cancellations,
) -> None:
    publisher = Publisher(broker, topology)
    encode = NatsSentenceEncoder(partial(broker.ask, topology.subject(EmbedQuery)), settings.encode_timeout)
    drafts = Drafts(prompts, Extractor(encode), max_tokens=settings.llm_max_tokens)
    answer = AnswerQuestion(models, drafts, encode, NatsReplies(broker, publisher))
    handler = answer_handler(answer, cancellations, publisher.reply, AnswerMetrics(broker.metrics))
    consume(broker, topology, CONSUMER, GenerateAnswer, handler, max_workers=settings.answer_workers)


def _answer_requests(
    settings: GeneratorSettings,
    broker: Broker,
    topology: Topology,
    models: Models,
    prompts: Prompts,
    cancellations: Cancellations,
) -> None:
    answers = partial(broker.subscriber, queue=QUEUE_GROUP)
    rewrite = RewriteFollowUp(models, prompts, at_once=settings.answer_workers)
    # one more than rewrite at once: it refuses the rest, which would queue up unseen
    rewriting = answers(topology.subject(RewriteQuestion), max_workers=settings.answer_workers + 1)
    rewriting(answer_rewriting(rewrite, cancellations))
    describing = answers(topology.subject(DescribeGenerator), max_workers=settings.answer_workers)
    describing(answer_describing(models, prompts.version))


if __name__ == "__main__":
    _settings = GeneratorSettings()
    serve(create_app(_settings), _settings)
