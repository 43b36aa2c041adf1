"""The three kinds of answers, before they are sent."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from rag_common.contracts import Citation, GenerateAnswer, Passage
from rag_generator.domain.citing import Cited, MarkerFilter
from rag_generator.domain.extractive import Extractor
from rag_generator.domain.llm import LLM, ModelUnavailable, Piece, Prompt
from rag_generator.domain.prompting import Prompts

RESERVE = 0.2
"""Share of the time left, when a model is asked, that is kept for quotations in case it does not begin."""


@dataclass(slots=True)
class Ending:
    """How a text has ended; known when its last piece is."""

    finish: Literal["stop", "length"] = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    def note(self, piece: Piece) -> None:
        """Take over what the last piece says."""
        if piece.finish is not None:
            self.finish = piece.finish
            self.prompt_tokens, self.completion_tokens = piece.prompt_tokens, piece.completion_tokens


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer that can be sent. ``pieces`` is its text.

    ``llm`` is ``None`` where it consists of quotations; ``failure`` says why it is not what it should be.
    """

    pieces: AsyncGenerator[Cited, None]
    passages: tuple[Passage, ...] = ()
    llm: LLM | None = None
    answered: bool = True
    failure: str | None = None
    ending: Ending = field(default_factory=Ending)


class Drafts:
    """Makes them."""

    def __init__(self, prompts: Prompts, extract: Extractor, *, max_tokens: int) -> None:
        """``max_tokens``: of an answer, where a question does not say."""
        self._prompts = prompts
        self._extract = extract
        self._max_tokens = max_tokens

    @property
    def prompt_version(self) -> str:
        return self._prompts.version

    def generated(self, ask: GenerateAnswer, llm: LLM) -> Draft:
        """A model's answer; the model is asked when the first piece is. The pieces raise what
        :meth:`LLM.stream` does, and :class:`ModelUnavailable` if it does not begin in time or writes nothing.

        :raises QuestionTooLong: the model has no room for a passage beside the question.
        """
        # half of the context at least is for the passages
        max_tokens = min(ask.options.max_tokens or self._max_tokens, llm.context_tokens // 2)
        composed = self._prompts.answer(
            question=ask.question,
            standalone=ask.standalone,
            history=ask.options.history,
            passages=ask.found.passages,
            context_tokens=llm.context_tokens,
            max_tokens=max_tokens,
        )
        ending = Ending()
        written = _written(llm, composed.prompt, ask.deadline, ending)
        return Draft(_cited(written, composed.passages), composed.passages, llm, ending=ending)

    async def quotations(self, ask: GenerateAnswer, failure: str | None = None) -> Draft:
        """Sentences of the passages; ``failure``: why there is nothing better."""
        quoted = await self._extract(ask.standalone, ask.found.passages, ask.found.space)
        if not quoted.text:
            return self.not_found(ask, None, failure)
        return Draft(_whole(quoted.text, quoted.citations), quoted.passages, failure=failure)

    def not_found(self, ask: GenerateAnswer, llm: LLM | None, failure: str | None = None) -> Draft:
        """That the documents have no answer, which is said without asking ``llm``."""
        sentence = self._prompts.not_found(ask.question)
        return Draft(_whole(sentence), llm=llm, answered=False, failure=failure)


async def _whole(text: str, citations: tuple[Citation, ...] = ()) -> AsyncGenerator[Cited, None]:
    yield Cited(text, citations)


async def _written(llm: LLM, prompt: Prompt, deadline: float, ending: Ending) -> AsyncGenerator[str, None]:
    """:raises ModelUnavailable: nothing comes, or not in time for doing without it."""
    begin_within = (deadline - time.time()) * (1 - RESERVE)
    async with aclosing(llm.stream(prompt, begin_within=begin_within)) as pieces:
        async for piece in pieces:
            ending.note(piece)
            yield piece.text


async def _cited(
    written: AsyncGenerator[str, None], passages: tuple[Passage, ...]
) -> AsyncGenerator[Cited, None]:
    """The text with its markers checked, without empty pieces.

    :raises ModelUnavailable: there is nothing but white space.
    """
    markers = MarkerFilter(passages)
    empty = True
    async with aclosing(written):
        async for text in written:
            cited = markers.feed(text)
            empty = empty and not cited.text.strip()
            if cited.text:
                yield cited
    cited = markers.finish()
    if empty and not cited.text.strip():
        raise ModelUnavailable("the model has written nothing")
    if cited.text:
        yield cited
