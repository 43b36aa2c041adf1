"""What the streams hold, by JetStream's own account (nats-py leaves the time stamps out)."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import nats.errors
from nats.js import JetStreamContext

from rag_common.contracts import EmbedChunks, IndexChunks, IngestDocument, Lane, Message
from rag_common.errors import TransientError
from rag_common.topology import Topology

_TIMEOUT = 5.0
_NO_MESSAGE = 10037
"""JetStream's code JSNoMessageFoundErr."""


class _NoMessage(TransientError):
    """The stream has no such message now."""


class JetStreamQueues:
    """Every method raises TransientError while JetStream does not answer."""

    def __init__(self, jetstream: Callable[[], JetStreamContext], topology: Topology) -> None:
        self._jetstream = jetstream
        self._topology = topology

    async def oldest_job(self, lane: Lane) -> datetime | None:
        """When the oldest message was stored by which a generation of the lane still moves on.

        Looked for stage after stage, so that a job which moves on meanwhile is seen at least once.
        """
        subjects: tuple[tuple[type[Message], str], ...] = (
            (IngestDocument, self._topology.pattern(IngestDocument, lane=lane)),
            (EmbedChunks, self._topology.subject(EmbedChunks, lane=lane)),
            # of either lane: this stage has no lanes
            (IndexChunks, self._topology.subject(IndexChunks)),
        )
        times = [await self._oldest(self._stream(message), subject) for message, subject in subjects]
        return min((time for time in times if time is not None), default=None)

    async def waiting(self, message: type[Message]) -> int:
        """Messages of this kind that are queued or being worked on."""
        options = {"subjects_filter": self._topology.subject(message)}
        info = await self._ask("STREAM.INFO", self._stream(message), options)
        subjects: dict[str, int] = info["state"].get("subjects") or {}
        return sum(subjects.values())

    def _stream(self, message: type[Message]) -> str:
        if message.stream is None:
            raise TypeError(f"{message.__name__} has no stream")
        return self._topology.stream(message.stream)

    async def _oldest(self, stream: str, subject: str) -> datetime | None:
        try:
            found = await self._ask("STREAM.MSG.GET", stream, {"seq": 1, "next_by_subj": subject})
        except _NoMessage:
            return None
        return datetime.fromisoformat(_microseconds(found["message"]["time"]))

    async def _ask(self, question: str, stream: str, options: dict[str, Any]) -> dict[str, Any]:
        jetstream = self._jetstream()
        try:
            reply = await jetstream._nc.request(
                f"{jetstream._prefix}.{question}.{stream}", json.dumps(options).encode(), timeout=_TIMEOUT
            )
        except (nats.errors.Error, TimeoutError) as error:
            raise TransientError(f"JetStream does not answer: {type(error).__name__}") from error
        answer: dict[str, Any] = json.loads(reply.data)
        if "error" in answer:
            wrong = _NoMessage if answer["error"].get("err_code") == _NO_MESSAGE else TransientError
            raise wrong(f"{stream} cannot be read: {answer['error'].get('description')}")
        return answer


def _microseconds(timestamp: str) -> str:
    """Python reads six digits of a second and the server writes nine."""
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return f"{whole}.{fraction[:6]:0<6}+00:00"
