"""Follow-ups that come faster than a model rewrites them."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Sequence

import pytest

from rag_common.contracts import MAX_QUESTION, Adapter, Turn
from rag_generator.adapters.templates import load_prompts
from rag_generator.domain.choosing import Models
from rag_generator.domain.llm import ModelMissing, ModelUnavailable, Piece, Prompt
from rag_generator.domain.rewriting import RewriteFollowUp

HISTORY = (Turn(question="Who has leave?", answer="Everyone [1]."),)


class FakeLLM:
    """Writes when ``go_on`` is set."""

    adapter: Adapter = "ollama"
    model = "small"
    context_tokens = 4096
    known_failure = None

    def __init__(self, text: str = "How long?") -> None:
        self.text = text
        self.go_on = asyncio.Event()
        self.asked = 0

    async def stream(
        self, prompt: Prompt, *, turn_within: float = math.inf, begin_within: float = math.inf
    ) -> AsyncGenerator[Piece, None]:
        self.asked += 1
        await self.go_on.wait()
        yield Piece(self.text)

    async def models(self) -> tuple[str, ...]:
        return ("small",)

    def missing(self, names: Sequence[str]) -> ModelMissing | None:
        return None

    async def needs_loading(self) -> bool:
        return False

    async def load(self) -> None:
        return


def rewriting(llm: FakeLLM, at_once: int = 2) -> RewriteFollowUp:
    return RewriteFollowUp(Models(llm), load_prompts(None), at_once=at_once)


async def test_those_beyond_what_may_wait_are_refused_at_once() -> None:
    llm = FakeLLM()
    rewrite = rewriting(llm)
    deadline = time.time() + 60
    for _ in range(2):
        waiting = [asyncio.create_task(rewrite("And?", HISTORY, deadline)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ModelUnavailable, match="too many") as refused:
            await rewrite("And?", HISTORY, deadline)
        assert refused.value.code == "model_busy"
        llm.go_on.set()
        assert await asyncio.gather(*waiting) == ["How long?"] * 2
        llm.go_on.clear()
    assert llm.asked == 4


async def test_one_that_is_given_up_makes_room() -> None:
    rewrite = rewriting(FakeLLM(), at_once=1)
    for _ in range(3):
        with pytest.raises(ModelUnavailable, match="not rewritten the question in"):
            await rewrite("And?", HISTORY, time.time() + 0.02)


async def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    llm = FakeLLM()
    with pytest.raises(ModelUnavailable, match="over before"):
        await rewriting(llm)("And?", HISTORY, time.time() - 1)
    assert llm.asked == 0


async def test_it_is_no_longer_than_a_question_may_be() -> None:
    llm = FakeLLM("x" * 5000)
    llm.go_on.set()
    assert len(await rewriting(llm)("And?", HISTORY, time.time() + 60)) == MAX_QUESTION
