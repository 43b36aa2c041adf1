"""A follow-up becomes a question that is understood by itself."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing

from rag_common.contracts import MAX_QUESTION, Turn
from rag_common.errors import PermanentError
from rag_generator.domain.choosing import Models
from rag_generator.domain.llm import LLM, ModelUnavailable, Prompt
from rag_generator.domain.prompting import Prompts

TURN_WITHIN = 0.5
"""Seconds that a follow-up waits for its turn: it can be done without, which answers cannot."""


class NoModel(PermanentError):
    """Nobody is there who could rewrite."""

    code = "no_model"


class RewriteFollowUp:
    """Rewrites by the model that writes the answers."""

    def __init__(self, models: Models, prompts: Prompts, *, at_once: int) -> None:
        """``at_once``: follow-ups that are rewritten, or wait for their turn; others are refused."""
        self._models = models
        self._prompts = prompts
        self._free = at_once

    async def __call__(self, question: str, history: Sequence[Turn], deadline: float) -> str:
        """One line, not longer than a question may be. ``deadline``: Unix time, seconds.

        :raises NoModel: answers consist of quotations.
        :raises ModelUnavailable: the model is busy, does not answer in time, or with nothing.
        :raises ModelMissing: the endpoint does not have the model.
        :raises ModelRefused: the endpoint refuses.
        """
        llm = self._models.current()
        if llm is None:
            raise NoModel("there is no language model that could rewrite the question")
        left = deadline - time.time()
        if left <= 0:
            raise ModelUnavailable("the time for rewriting the question was over before it was begun")
        if not self._free:
            raise ModelUnavailable("too many questions are being rewritten", code="model_busy")
        self._free -= 1
        try:
            async with asyncio.timeout(left):
                text = await _first_line(
                    llm, self._prompts.rewrite(question, tuple(history), llm.context_tokens), left
                )
        except TimeoutError:
            raise ModelUnavailable(f"the model has not rewritten the question in {left:.2g} s") from None
        finally:
            self._free += 1
        if not text:
            raise ModelUnavailable("the model has rewritten the question to nothing")
        return text[:MAX_QUESTION]


async def _first_line(llm: LLM, prompt: Prompt, within: float) -> str:
    """The model is not let go on behind the end of the line."""
    text = ""
    async with aclosing(llm.stream(prompt, turn_within=TURN_WITHIN, begin_within=within)) as pieces:
        async for piece in pieces:
            text = (text + piece.text).lstrip()
            if "\n" in text:
                break
    return text.split("\n", 1)[0].strip()
