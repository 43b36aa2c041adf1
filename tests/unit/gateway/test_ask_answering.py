"""How long an answer is handed out to somebody who takes it piece by piece."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from caching_support import WHOLE, ask
from prometheus_client import CollectorRegistry

from rag_gateway.answering import Answering
from rag_gateway.dependencies import Gateway
from rag_gateway.domain.answers import AnswerEvent, Ask, CollectedAnswer, SlowReader
from rag_gateway.domain.recording import Recording
from rag_gateway.metrics import GatewayMetrics


@dataclass
class Records:
    kept: list[CollectedAnswer] = field(default_factory=list)

    async def finish(self, answer: CollectedAnswer) -> None:
        self.kept.append(answer)


class Answers:
    closed = False

    async def __call__(self, _: Ask) -> AsyncGenerator[AnswerEvent, None]:
        try:
            for event in WHOLE:
                yield event
        finally:
            self.closed = True


def answering(answers: Answers, records: Records, **settings: Any) -> Answering:
    metrics = GatewayMetrics(CollectorRegistry())
    gateway = SimpleNamespace(answers=answers, metrics=metrics, settings=SimpleNamespace(**settings))
    return Answering(cast(Gateway, gateway), ask(timeout=0.01), cast(Recording, records))


async def test_who_takes_piece_after_piece_is_given_up_in_the_end() -> None:
    answers, records = Answers(), Records()
    events = answering(answers, records, body_timeout=0.01).events()
    assert await anext(events) == WHOLE[0]
    await asyncio.sleep(0.03)
    with pytest.raises(SlowReader):
        await anext(events)
    assert answers.closed
    assert not records.kept


async def test_who_takes_some_time_after_the_end_gets_everything() -> None:
    answers, records = Answers(), Records()
    events = answering(answers, records, body_timeout=60.0).events()
    assert await anext(events) == WHOLE[0]
    await asyncio.sleep(0.03)
    assert len([event async for event in events]) == len(WHOLE) - 1
    assert len(records.kept) == 1
