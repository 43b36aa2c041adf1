"""What became of drops: hints from EVENTS and DLQ, the truth from the API."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import nats.errors
import nats.js.errors
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
from ragp.responses import Json

SILENCE_SECONDS = 5.0
"""After so long without a hint the API is asked: one may have been lost."""


@dataclass(frozen=True)
class Hint:
    """Something was said about a source, or about the job of a sequence in INGEST."""

    about: str | int
    outcome: str
    reason: str = ""
    generation: int | None = None
    """The one that it was said of, where it is known."""


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
                hints.put_nowait(_hint_of_event(event))

    async def on_dead_letter(message: Msg) -> None:
        with contextlib.suppress(ValidationError):
            letter = DeadLetter.decode(message.data)
            if letter.original_stream == topology.stream("INGEST"):
                hints.put_nowait(_hint_of_letter(letter))

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
            # Of a lost connection there is nothing to end.
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()


def _hint_of_event(event: DocumentEvent) -> Hint:
    return Hint(event.source_uri, event.outcome, event.message or "", event.generation)


def _hint_of_letter(letter: DeadLetter) -> Hint:
    generation = letter.document.generation if letter.document is not None else None
    return Hint(letter.original_sequence, "failed", letter.reason, generation)


async def handled_up_to(client: Client, topology: Topology) -> int:
    """Every drop of at most this sequence in INGEST has been parsed, or given up.

    :raises CommandError: the connection is lost.
    """
    try:
        info = await client.jetstream(timeout=10).consumer_info(topology.stream("INGEST"), "ingest-bulk")
    except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
        raise CommandError(
            "the connection to NATS is lost; what is dropped goes on without this command",
            cure="see what becomes of it: ragp documents list",
        ) from error
    return info.ack_floor.stream_seq if info.ack_floor is not None else 0


async def await_drops(
    api: GatewayClient,
    hints: "asyncio.Queue[Hint]",
    collection: str,
    dropped: Mapping[int, SourceFile],
    ended: Callable[[], object],
    *,
    handled: Callable[[], Awaitable[int]],
    silence: float = SILENCE_SECONDS,
) -> list[Outcome]:
    """One outcome per drop (by sequence in INGEST); ``ended`` is called for each.

    ``handled`` is asked after ``silence`` seconds without a hint, as :func:`handled_up_to`.
    """
    waiting = dict(dropped)
    by_source = {file.source_uri: sequence for sequence, file in dropped.items()}
    done: list[Outcome] = []

    def settle(sequence: int, outcome: Outcome | None) -> None:
        if outcome is not None:
            done.append(outcome)
            del waiting[sequence]
            ended()

    while waiting:
        try:
            hint = await asyncio.wait_for(hints.get(), silence)
        except TimeoutError:
            last = await handled()
            for sequence in [sequence for sequence in waiting if sequence <= last]:
                settle(sequence, await _without_hint(api, collection, waiting[sequence]))
            continue
        found = by_source.get(hint.about) if isinstance(hint.about, str) else hint.about
        if found is not None and found in waiting:
            settle(found, await _outcome(api, hint, collection, waiting[found]))
    return done


async def _outcome(api: GatewayClient, hint: Hint, collection: str, file: SourceFile) -> Outcome | None:
    """``None`` while the document is still on its way: the hint was about an earlier job."""
    async for document in api.documents(collection=collection, source_uri=file.source_uri):
        outdated = hint.generation is not None and hint.generation < document["generation"]
        if isinstance(hint.about, int):
            # A dead letter of this very drop: what is live is from before it, or newer.
            state = "superseded" if outdated else hint.outcome
            return _found(file, document, state, hint.reason)
        state = settled_state(hint.outcome, document["state"])
        return _found(file, document, state, hint.reason) if state in TERMINAL and not outdated else None
    return Outcome(file.path, hint.outcome, reason=hint.reason)


async def _without_hint(api: GatewayClient, collection: str, file: SourceFile) -> Outcome | None:
    async for document in api.documents(collection=collection, source_uri=file.source_uri):
        state = document["state"]
        return _found(file, document, state) if state in TERMINAL else None
    return Outcome(file.path, "failed", reason="it never became a document; see the stream of dead letters")


def _found(file: SourceFile, document: Json, state: str, reason: str = "") -> Outcome:
    told = (reason_of(document) or reason) if state == "failed" else ""
    return Outcome(
        file.path, state, document_id=document["id"], generation=document["generation"], reason=told
    )
