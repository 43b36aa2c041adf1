"""A question, the conversation before it, and what is wanted of its answer."""

from typing import Annotated

from pydantic import Field, StringConstraints

from rag_common.contracts.base import Value

MAX_TURNS = 10
"""Turns of a conversation that travel with a question."""
MAX_TURN_CHARACTERS = 4000
"""Of an earlier answer; the rest of it is left out."""
MAX_QUESTION = 4000
"""Characters of a question."""

Question = Annotated[str, StringConstraints(min_length=1, max_length=MAX_QUESTION, strip_whitespace=True)]


class Turn(Value):
    """An earlier question of a conversation, with its answer."""

    question: str
    answer: str


class AnswerOptions(Value):
    """What a caller wants of an answer."""

    history: tuple[Turn, ...] = Field(default=(), max_length=MAX_TURNS)
    """The oldest first."""
    max_tokens: int | None = Field(default=None, ge=1, le=8192)
    """Length of the answer in tokens of the model; ``None``: the generator's setting."""
    grounding: bool = False
    """Whether each sentence is compared with the passages that it cites."""
