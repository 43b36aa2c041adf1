"""The facts about one delivery of one message."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TypeVar

from nats.aio.msg import Msg

from rag_common.contracts import DocumentRef, Message
from rag_common.topology import Topology


@dataclass(slots=True)
class Job:
    """What a handler may want to know beside the message.

    ``attempt`` counts deliveries from 1; ``tries`` counts the times that the handler was started
    within this delivery. ``sequence`` and ``time_ns`` (nanoseconds since the epoch) are those of
    the stream; nothing in the message can change them. A handler may set ``document``: it is
    written into log lines and dead letters.
    """

    subject: str
    stream: str
    sequence: int
    time_ns: int
    attempt: int
    tenant: str | None = None
    lane: str | None = None
    document: DocumentRef | None = None
    tries: int = 0
    run: str = field(default_factory=lambda: token_hex(6))
    """Names this delivery in message ids. A server that crashed may count deliveries from 1 again."""

    @classmethod
    def of(cls, message: Msg, topology: Topology) -> "Job":
        """:raises nats.errors.NotJSMessageError: the message was not delivered by a consumer."""
        facts = message.metadata
        tokens = message.reply.split(".")
        # The metadata's own timestamp is a float; the order of drops needs the nanoseconds.
        time_ns = int(tokens[7] if len(tokens) == 9 else tokens[9])
        fields = topology.fields(message.subject)
        return cls(
            subject=message.subject,
            stream=facts.stream,
            sequence=facts.sequence.stream,
            time_ns=time_ns,
            attempt=facts.num_delivered,
            tenant=fields.get("tenant"),
            lane=fields.get("lane"),
        )


M = TypeVar("M", bound=Message)
Handler = Callable[[M, Job], Awaitable[None]]

current_job: ContextVar[Job | None] = ContextVar("current_job", default=None)
"""The job that the running handler works on."""
