"""Making a question of a conversation understandable without the conversation."""

import time
from dataclasses import dataclass
from typing import Literal
from unicodedata import category

import structlog

from rag_common.contracts import MAX_QUESTION, RewriteQuestion
from rag_common.languages import script_of
from rag_retriever.domain.followups import in_context
from rag_retriever.domain.ports import Rewriter, RewriterUnavailable

SHARE_OF_TIME = 0.5
"""Of the time until the deadline that rewriting has at most: the search and the answer come after it."""
LONGER_BY = 300
"""Characters by which a rewritten question may be longer than the one that was asked."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standalone:
    """A question to search for. ``by``: what has made it so, the model or the words of the conversation."""

    question: str
    by: Literal["model", "words", "nobody"]


@dataclass(frozen=True, slots=True)
class StandaloneQuestion:
    """By the model of the generator; by :func:`in_context` while there is none, or it answers nonsense."""

    rewrite: Rewriter

    async def __call__(self, request: RewriteQuestion) -> Standalone:
        """``request.deadline``: the query's own."""
        question = request.question
        within = SHARE_OF_TIME * (request.deadline - time.time())
        try:
            if within <= 0:
                raise RewriterUnavailable("there is no time left before the deadline")
            return Standalone(checked(await self.rewrite(request, within), question), "model")
        except RewriterUnavailable as error:
            _log.info("question_not_rewritten_by_model", reason=error.message)
        rewritten = in_context(question, request.history)
        return Standalone(rewritten, "nobody" if rewritten == question else "words")


def checked(rewritten: str, question: str) -> str:
    """What a model has made of the question, if it looks like a question.

    :raises RewriterUnavailable: it is empty, has several lines, is much longer than the question, or is
        in a script of which the question has no letter.
    """
    lines = rewritten.strip().splitlines()
    rewritten = " ".join(" ".join(lines).split())
    if len(lines) != 1 or any(category(letter) == "Cc" for letter in rewritten):
        raise RewriterUnavailable("the model's question is not one line of text")
    if len(rewritten) > min(len(question) + LONGER_BY, MAX_QUESTION):
        raise RewriterUnavailable(f"the model's question has {len(rewritten)} characters")
    scripts = {script_of(letter) for letter in question if letter.isalpha()}
    if scripts and script_of(rewritten) not in scripts:
        raise RewriterUnavailable("the model's question is in another script")
    return rewritten
