"""What became of drops: hints from EVENTS and DLQ, the truth from the API."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import DeliverPolicy
from pydantic import ValidationError

from rag_common.contracts import DeadLetter, DocumentEvent
from rag_common.topology import Topology
from ragp.client import GatewayClient
from ragp.errors import CommandError
from ragp.files import SourceFile
from ragp.following import TERMINAL, reason_of, settled_state
from ragp.outcomes import Outcome


@dataclass(frozen=True)
class Hint:
    """Something was said about a source, or about the job of a sequence in INGEST."""

    about: str | int
    outcome: str
    reason: str = ""


@contextlib.asynccontextmanager
async def listening(
    client: Client, topology: Topology, collection: str
) -> AsyncIterator["asyncio.Queue[Hint]"]:
    """Collect the hints of one collection from now on. Begin before dropping.

    :raises CommandError: this NATS user may not read them.
    """
    hints: asyncio.Queue[Hint] = asyncio.Queue()

    async def on_event(message: Msg) -> None:
        with contextlib.suppress(ValidationError):
            event = DocumentEvent.decode(message.data)
            if event.collection == collection and event.outcome in TERMINAL:
                hints.put_nowait(Hint(event.source_uri, event.outcome, event.message or ""))

    async def on_dead_letter(message: Msg) -> None:
        with contextlib.suppress(ValidationError):
            letter = DeadLetter.decode(message.data)
            if letter.original_stream == topology.stream("INGEST"):
                hints.put_nowait(Hint(letter.original_sequence, "failed", letter.reason))

    jetstream = client.jetstream(timeout=10)
    sources = {topology.subject(DocumentEvent): on_event, topology.pattern(DeadLetter): on_dead_letter}
    try:
        # Ordered consumers: they read from the streams, so that no hint is missed.
        subscriptions = [
            await jetstream.subscribe(
                pattern, cb=callback, ordered_consumer=True, deliver_policy=DeliverPolicy.NEW
            )
            for pattern, callback in sources.items()
        ]
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
    hints: "asyncio.Queue[Hint]",
    collection: str,
    dropped: Mapping[int, SourceFile],
    ended: Callable[[], object],
) -> list[Outcome]:
    """One outcome per drop (by sequence in INGEST); ``ended`` is called for each."""
    waiting = dict(dropped)
    by_source = {file.source_uri: sequence for sequence, file in dropped.items()}
    done: list[Outcome] = []
    while waiting:
        hint = await hints.get()
        sequence = by_source.get(hint.about) if isinstance(hint.about, str) else hint.about
        if sequence is None or sequence not in waiting:
            continue
        outcome = await _outcome(api, hint, collection, waiting[sequence])
        if outcome is not None:
            done.append(outcome)
            del waiting[sequence]
            ended()
    return done


async def _outcome(api: GatewayClient, hint: Hint, collection: str, file: SourceFile) -> Outcome | None:
    """``None`` while the document is still on its way: the hint was about an earlier job."""
    async for document in api.documents(collection=collection, source_uri=file.source_uri):
        state = settled_state(hint.outcome, document["state"])
        if state not in TERMINAL:
            return None
        return Outcome(
            file.path,
            state,
            document_id=document["id"],
            generation=document["generation"],
            reason=(reason_of(document) or hint.reason) if state == "failed" else "",
        )
    return Outcome(file.path, hint.outcome, reason=hint.reason)
