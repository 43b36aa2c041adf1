"""Asking every question through the API, a few at a time."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ragp.client import GatewayClient
from ragp.errors import CommandError, GatewayError
from ragp.evaluation.matching import Source
from ragp.evaluation.questions import Question

AT_ONCE = 8
_SECONDS = 60.0
"""For one question, waiting for a busy gateway included."""
_LIMIT, _LARGEST_LIMIT = 30, 100
_PASSING = frozenset({408, 429})
"""Refusals that concern one question; after others the other questions would be refused, too."""


@dataclass(frozen=True, slots=True)
class Need:
    """How much an answer must hold to be measured; asked for where the settings leave ``limit`` open."""

    documents: int
    characters: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one question; with an ``error`` nothing did. ``degraded`` is the reason."""

    passages: Sequence[Source] = ()
    milliseconds: float = 0.0
    degraded: str | None = None
    error: str | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether it says something about retrieval under the settings that were asked for."""
        return self.error is None and self.degraded is None


async def ask_all(
    client: GatewayClient,
    questions: Sequence[Question],
    settings: Mapping[str, Any],
    need: Need,
    asked: Callable[[], object] = lambda: None,
    *,
    at_once: int = AT_ONCE,
    seconds: float = _SECONDS,
) -> list[Reply]:
    """One reply for each question, in their order; ``asked`` is called for each.

    ``settings`` are fields of ``POST /v1/search``.

    :raises CommandError: the gateway cannot be reached, or refuses the key, a collection or the settings.
    """
    replies: dict[int, Reply] = {}
    waiting = iter(enumerate(questions))

    async def ask_next() -> None:
        for number, question in waiting:
            replies[number] = await _in_time(client, question, settings, need, seconds)
            asked()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(ask_next())
    except* CommandError as failures:
        # The first has cancelled the others.
        raise failures.exceptions[0] from None
    return [replies[number] for number in range(len(questions))]


async def _in_time(
    client: GatewayClient, question: Question, settings: Mapping[str, Any], need: Need, seconds: float
) -> Reply:
    try:
        async with asyncio.timeout(seconds):
            return await _ask(client, question, settings, need)
    except TimeoutError:
        return Reply(error=f"no answer in {seconds:g} s")
    except GatewayError as error:
        if error.status < 500 and error.status not in _PASSING:
            raise
        return Reply(error=error.message)


async def _ask(client: GatewayClient, question: Question, settings: Mapping[str, Any], need: Need) -> Reply:
    body = {"query": question.text, "limit": _LIMIT, **settings}
    if question.collection is not None:
        body["collections"] = [question.collection]
    began = time.perf_counter()
    answer = await client.post_search(body)
    milliseconds = (time.perf_counter() - began) * 1000
    if (
        "limit" not in settings
        and len(answer["passages"]) == _LIMIT
        and not _enough(answer["passages"], need)
    ):
        answer = await client.post_search({**body, "limit": _LARGEST_LIMIT})
    degraded = (answer["reason"] or "a part of the search was not available") if answer["degraded"] else None
    return Reply(answer["passages"], milliseconds, degraded, answer=answer)


def _enough(passages: Sequence[Source], need: Need) -> bool:
    documents = len({passage["document_id"] for passage in passages})
    characters = sum(passage["end"] - passage["start"] for passage in passages)
    return documents >= need.documents and characters >= need.characters
