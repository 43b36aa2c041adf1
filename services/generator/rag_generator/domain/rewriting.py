"""A follow-up becomes a question that is understood by itself."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

from rag_common.contracts import Turn
from rag_common.errors import PermanentError
from rag_generator.domain.choosing import Models
from rag_generator.domain.llm import LLM, ModelUnavailable, Prompt
from rag_generator.domain.prompting import Prompts

MAX_QUESTION = 4000
"""Characters of a question."""


class NoModel(PermanentError):
    """Nobody is there who could rewrite."""

    code = "no_model"


class RewriteFollowUp:
    """Rewrites by the model that writes the answers."""

    def __init__(self, models: Models, prompts: Prompts, seconds: float) -> None:
        self._models = models
        self._prompts = prompts
        self._seconds = seconds

    async def __call__(self, question: str, history: Sequence[Turn]) -> str:
        """One line, at most :data:`MAX_QUESTION` characters.

        :raises NoModel: answers consist of quotations.
        :raises ModelUnavailable: the model does not answer in time, or with nothing.
        :raises ModelMissing: the endpoint does not have the model.
        :raises ModelRefused: the endpoint refuses.
        """
        llm = self._models.current()
        if llm is None:
            raise NoModel("there is no language model that could rewrite the question")
        try:
            async with asyncio.timeout(self._seconds):
                text = await _first_line(llm, self._prompts.rewrite(question, tuple(history)))
        except TimeoutError:
            raise ModelUnavailable(
                f"the model has not rewritten the question in {self._seconds:g} s"
            ) from None
        if not text:
            raise ModelUnavailable("the model has rewritten the question to nothing")
        return text[:MAX_QUESTION]


async def _first_line(llm: LLM, prompt: Prompt) -> str:
    """The model is not let go on behind the end of the line."""
    text = ""
    async with aclosing(llm.stream(prompt)) as pieces:
        async for piece in pieces:
            text = (text + piece.text).lstrip()
            if "\n" in text:
                break
    return text.split("\n", 1)[0].strip()
