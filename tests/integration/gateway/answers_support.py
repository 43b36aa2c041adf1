"""A scripted generator side: it takes questions from the real queue and sends the frames of answers."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from ask_support import Talk, answering
from nats.js import JetStreamContext

from rag_common.contracts import (
    AnswerDelta,
    AnswerDone,
    AnswerOpened,
    Citation,
    Message,
    Passage,
    RetrievePassages,
)
from rag_common.topology import Topology

Script = Callable[[RetrievePassages], Iterable[Message | asyncio.Event]]
"""The frames that answer a question; an event is waited for."""


def passage(document_id: str | None = None, text: str = "Everyone has 28 days.") -> Passage:
    return Passage(
        document_id=document_id or str(uuid.uuid4()),
        generation=1,
        collection="handbook",
        title="Leave",
        source_uri="upload:/leave.txt",
        chunk_no=0,
        start=0,
        end=len(text),
        heading=(),
        text=text,
        score=0.9,
        ranks={"dense": 1},
    )


def citation(of: Passage, n: int = 1) -> Citation:
    return Citation(
        n=n,
        document_id=of.document_id,
        generation=of.generation,
        collection=of.collection,
        title=of.title,
        source_uri=of.source_uri,
        start=of.start,
        end=of.end,
        quote=of.text,
    )


def opened(query: RetrievePassages, *passages: Passage, attempt: int = 1, **changes: Any) -> AnswerOpened:
    fields: dict[str, Any] = {
        "standalone": query.question,
        "mode": "hybrid",
        "adapter": "ollama",
        "model": "qwen2.5:3b",
        "prompt_version": "1",
    }
    return AnswerOpened(query_id=query.query_id, attempt=attempt, passages=passages, **{**fields, **changes})


def deltas(query: RetrievePassages, *texts: str, attempt: int = 1) -> list[AnswerDelta]:
    return [
        AnswerDelta(query_id=query.query_id, attempt=attempt, sequence=number, text=text)
        for number, text in enumerate(texts, 1)
    ]


def done(query: RetrievePassages, sequence: int, attempt: int = 1, **changes: Any) -> AnswerDone:
    fields: dict[str, Any] = {"answered": True, "prompt_tokens": 40, "completion_tokens": 7}
    return AnswerDone(query_id=query.query_id, attempt=attempt, sequence=sequence, **{**fields, **changes})


def says(*texts: str, of: Passage | None = None) -> Script:
    """A whole answer of these pieces, made of one passage, which the first piece cites."""

    def frames(query: RetrievePassages) -> list[Message | asyncio.Event]:
        source = of or passage()
        first, *rest = deltas(query, *texts)
        return [
            opened(query, source),
            first.model_copy(update={"citations": (citation(source),)}),
            *rest,
            done(query, len(texts) + 1),
        ]

    return frames


@asynccontextmanager
async def generator(
    jetstream: JetStreamContext, topology: Topology, script: Script
) -> AsyncIterator[list[RetrievePassages]]:
    """Answers questions; what it was asked. A script that fails fails the test, and is named beside what
    else has failed for it."""
    asked: list[RetrievePassages] = []

    async def play(talk: Talk) -> None:
        asked.append(talk.query)
        for frame in script(talk.query):
            await _send(talk, frame)

    async with answering(jetstream, topology, play) as others:
        try:
            yield asked
        except Exception as error:
            for failure in others.failures:
                error.add_note(f"the script had failed: {failure!r}")
            raise


async def _send(talk: Talk, frame: Message | asyncio.Event) -> None:
    if isinstance(frame, asyncio.Event):
        await asyncio.wait_for(frame.wait(), timeout=10)
    elif isinstance(frame, AnswerOpened):
        await talk.request(frame)
    else:
        await talk.send(frame)
