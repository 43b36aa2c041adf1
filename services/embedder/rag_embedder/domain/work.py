"""The units of work: a caller's request, each of its texts, and the slice that is encoded at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rag_embedder.domain.encoder import Encoder, Priority, Tokens, Vectors


@dataclass(eq=False, slots=True)
class Request:
    """The texts of one caller, who waits for ``done``; ``missing`` of the ``rows`` are not there yet."""

    encoder: Encoder
    priority: Priority
    texts: Sequence[Any]
    arrived: float
    done: "asyncio.Future[Vectors]"
    rows: Vectors
    missing: int
    started: bool = False

    @property
    def settled(self) -> bool:
        """Nobody needs the remaining texts: the caller was cancelled, or one of them has failed."""
        return self.done.done()


@dataclass(eq=False, slots=True)
class Text:
    """One text of a request; its vector belongs into row ``row``."""

    request: Request
    row: int
    tokens: Tokens

    @property
    def length(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Slice:
    """Texts of one lane and one encoder that go through it together."""

    priority: Priority
    texts: Sequence[Text]

    @property
    def encoder(self) -> Encoder:
        return self.texts[0].request.encoder

    @property
    def cost(self) -> int:
        """Tokens, padding included."""
        return len(self.texts) * max(text.length for text in self.texts)

    @property
    def requests(self) -> set[Request]:
        return {text.request for text in self.texts}

    def per_request(self) -> list["Slice"]:
        """The same texts, one slice for each request."""
        groups: dict[Request, list[Text]] = {}
        for text in self.texts:
            groups.setdefault(text.request, []).append(text)
        return [Slice(self.priority, texts) for texts in groups.values()]
