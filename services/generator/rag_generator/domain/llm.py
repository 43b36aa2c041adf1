"""The language model as the domain sees it."""

import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from rag_common.contracts import Adapter
from rag_common.errors import PermanentError, TransientError

TEMPERATURE = 0.1
"""Of whatever is written: an answer from passages is to keep to them."""


class ModelUnavailable(TransientError):
    """The endpoint does not answer, is busy, too slow, or broke off in the middle."""

    code = "model_unavailable"


class ModelMissing(PermanentError):
    """The endpoint does not have the model."""

    code = "model_missing"


class ModelRefused(PermanentError):
    """The endpoint refuses the request itself; another one may succeed."""

    code = "model_refused"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of the conversation that a model continues."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked. ``max_tokens``: length of its answer at most."""

    messages: tuple[ChatMessage, ...]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of an answer. The last one carries ``finish``, and the counts if the endpoint tells them."""

    text: str
    finish: Literal["stop", "length"] | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class LLM(Protocol):
    """A model behind an endpoint."""

    @property
    def adapter(self) -> Adapter: ...

    @property
    def model(self) -> str: ...

    @property
    def context_tokens(self) -> int:
        """Tokens of prompt and answer together, at most."""

    @property
    def known_failure(self) -> ModelUnavailable | None:
        """What :meth:`stream` would raise now without asking the endpoint; ``None``: it would ask."""

    def stream(
        self, prompt: Prompt, *, turn_within: float = math.inf, begin_within: float = math.inf
    ) -> AsyncGenerator[Piece, None]:
        """The answer as it is written. Closing the generator, or cancelling its consumer, ends the work
        at the endpoint.

        ``turn_within``: seconds that the caller waits for others to be done; ``begin_within``: seconds
        until the first text, the wait for a turn among them. The model may have limits of its own.

        :raises ModelUnavailable: before the first piece or after some.
        :raises ModelMissing: before the first piece.
        :raises ModelRefused: before the first piece.
        """
