"""What became of drops: hints from EVENTS and DLQ, the truth from the API."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import DeliverPolicy
from pydantic import ValidationError

from rag_common.contracts import DeadLetter, DocumentEvent
from rag_common.topology import Topology
from ragp.client import GatewayClient
from ragp.errors import CommandError
from ragp.following import TERMINAL, reason_of
from ragp.outcomes import Outcome

_ANSWER_IN_EVENT = frozenset({"unchanged", "updated", "superseded"})
"""Outcomes that leave the document as it was: the API cannot tell them from what was before."""


@dataclass
class Hints:
    """The last word heard about each source, and the reason of each job that was given up."""

    by_source: dict[tuple[str, str], str] = field(default_factory=dict)
    """(collection, source_uri) → outcome."""
    given_up: dict[int, str] = field(default_factory=dict)
    """Sequence in INGEST → reason."""
    heard: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def listening(client: Client, topology: Topology) -> AsyncIterator[Hints]:
    """Collect hints from now on. Begin before dropping.

    :raises CommandError: this NATS user may not read them.
    """
    hints = Hints()

    async def on_event(message: Msg) -> None:
        with contextlib.suppress(ValidationError):
            event = DocumentEvent.decode(message.data)
            if event.outcome in TERMINAL:
                hints.by_source[event.collection, event.source_uri] = event.outcome
                hints.heard.set()

    async def on_dead_letter(message: Msg) -> None:
        with contextlib.suppress(ValidationError):
            letter = DeadLetter.decode(message.data)
            if letter.original_stream == topology.stream("INGEST"):
                hints.given_up[letter.original_sequence] = letter.reason
                hints.heard.set()

    jetstream = client.jetstream(timeout=10)
    subscriptions = []
    try:
        for pattern, callback in (
            (topology.subject(DocumentEvent), on_event),
            (topology.pattern(DeadLetter), on_dead_letter),
        ):
            subscription = await jetstream.subscribe(
                pattern, cb=callback, ordered_consumer=True, deliver_policy=DeliverPolicy.NEW
            )
            subscriptions.append(subscription)
    except (nats.errors.Error, TimeoutError) as error:
        raise CommandError(
            "this NATS user may not follow what becomes of its drops", cure="use --no-wait"
        ) from error
    try:
        yield hints
    finally:
        for subscription in subscriptions:
            await subscription.unsubscribe()


async def await_drops(
    api: GatewayClient,
    hints: Hints,
    collection: str,
    dropped: Mapping[int, tuple[Path, str]],
    ended: Callable[[], object],
) -> list[Outcome]:
    """One outcome per drop (sequence → path and source URI); ``ended`` is called for each."""
    waiting = dict(dropped)
    done: list[Outcome] = []
    while waiting:
        hints.heard.clear()
        for sequence, (path, source_uri) in list(waiting.items()):
            outcome = await _outcome(api, hints, collection, sequence, path, source_uri)
            if outcome is not None:
                done.append(outcome)
                del waiting[sequence]
                ended()
        if waiting:
            await hints.heard.wait()
    return done


async def _outcome(
    api: GatewayClient, hints: Hints, collection: str, sequence: int, path: Path, source_uri: str
) -> Outcome | None:
    if sequence in hints.given_up:
        return Outcome(path, "failed", reason=hints.given_up[sequence])
    hint = hints.by_source.pop((collection, source_uri), None)
    if hint is None:
        return None
    async for document in api.documents(collection=collection, source_uri=source_uri):
        state = hint if hint in _ANSWER_IN_EVENT else document["state"]
        if state in TERMINAL:
            return Outcome(
                path,
                state,
                document["id"],
                document["generation"],
                reason_of(document) if state == "failed" else "",
            )
    return None


def in_order(outcomes: Sequence[Outcome], paths: Sequence[Path]) -> list[Outcome]:
    """The outcomes in the order of the files."""
    order = {path: number for number, path in enumerate(paths)}
    return sorted(outcomes, key=lambda outcome: order[outcome.path])
