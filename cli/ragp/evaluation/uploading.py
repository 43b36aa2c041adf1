"""Putting the documents of a retrieval collection into the platform."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import httpx

from ragp.client import GatewayClient
from ragp.errors import CommandError, GatewayError
from ragp.evaluation.questions import TextDocument
from ragp.following import REFUSED, TERMINAL, follow, outcome_of
from ragp.outcomes import Outcome

_UPLOADS_AT_ONCE = 8


async def upload_texts(
    client: GatewayClient,
    collection: str,
    documents: Sequence[TextDocument],
    ended: Callable[[], object] = lambda: None,
) -> None:
    """Create the collection where it is missing, and wait until every document is searchable.

    ``ended`` is called for each document.

    :raises CommandError: some could not be made searchable; measured without them, retrieval would look
        worse than it is.
    """
    await client.ensure_collection(collection)
    waiting = iter(documents)
    shares = await asyncio.gather(*(_upload(client, collection, waiting) for _ in range(_UPLOADS_AT_ONCE)))
    begun = [outcome for share in shares for outcome in share]
    pending = [outcome for outcome in begun if outcome.state not in TERMINAL]
    done = [outcome for outcome in begun if outcome.state in TERMINAL]
    for _ in done:
        ended()
    done += await follow(client, pending, ended)
    bad = [outcome for outcome in done if not outcome.good]
    if bad:
        first = f"{bad[0].path}: {bad[0].state} {bad[0].reason}".rstrip()
        raise CommandError(
            f"{len(bad)} of {len(done)} documents are not searchable; the first is {first}",
            cure=f"see them: ragp documents list --collection {collection} --state failed; then measure"
            " without uploading again",
        )


async def _upload(client: GatewayClient, collection: str, documents: Iterable[TextDocument]) -> list[Outcome]:
    outcomes = []
    for document in documents:
        body = {
            "collection": collection,
            "source_uri": document.source_uri,
            "text": document.text,
            "media_type": document.media_type,
        }
        if document.title is not None:
            body["title"] = document.title
        path = Path(document.source_uri)
        try:
            outcomes.append(outcome_of(path, await client.upload_text(body)))
        except GatewayError as error:
            if error.status != httpx.codes.UNPROCESSABLE_ENTITY:
                raise
            outcomes.append(Outcome(path, REFUSED, reason=error.message))
    return outcomes
