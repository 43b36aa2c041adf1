"""What the streams hold, by JetStream's own account (nats-py leaves the time stamps out)."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import nats.errors
from nats.js import JetStreamContext

from rag_common.contracts import Message
from rag_common.errors import TransientError
from rag_common.topology import Topology

_STAGES = ("INGEST", "EMBED", "INDEX")
_TIMEOUT = 5.0


class JetStreamQueues:
    """Every method raises TransientError while JetStream does not answer."""

    def __init__(self, jetstream: Callable[[], JetStreamContext], topology: Topology) -> None:
        self._jetstream = jetstream
        self._topology = topology

    async def oldest_job(self) -> datetime | None:
        """When the oldest message was stored that a stage of ingestion still holds."""
        times: list[datetime] = []
        for name in _STAGES:
            state = (await self._info(self._topology.stream(name)))["state"]
            if state["messages"]:
                times.append(datetime.fromisoformat(_microseconds(state["first_ts"])))
        return min(times, default=None)

    async def waiting(self, message: type[Message]) -> int:
        """Messages of this kind that are queued or being worked on."""
        if message.stream is None:
            raise TypeError(f"{message.__name__} has no stream")
        subject = self._topology.subject(message)
        info = await self._info(self._topology.stream(message.stream), subjects_filter=subject)
        subjects: dict[str, int] = info["state"].get("subjects") or {}
        return sum(subjects.values())

    async def _info(self, stream: str, **options: str) -> dict[str, Any]:
        jetstream = self._jetstream()
        try:
            reply = await jetstream._nc.request(
                f"{jetstream._prefix}.STREAM.INFO.{stream}", json.dumps(options).encode(), timeout=_TIMEOUT
            )
        except (nats.errors.Error, TimeoutError) as error:
            raise TransientError(f"JetStream does not answer: {type(error).__name__}") from error
        info: dict[str, Any] = json.loads(reply.data)
        if "error" in info:
            raise TransientError(f"{stream} cannot be read: {info['error'].get('description')}")
        return info


def _microseconds(timestamp: str) -> str:
    """Python reads six digits of a second and the server writes nine."""
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return f"{whole}.{fraction[:6]:0<6}+00:00"
