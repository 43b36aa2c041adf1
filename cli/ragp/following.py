"""Following documents until each has reached the end of its way."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ragp.client import GatewayClient
from ragp.outcomes import Outcome

REFUSED, UNREADABLE = "refused", "unreadable"
"""This command's own words for a file that never became a document."""
TERMINAL = frozenset(
    {
        *("live", "unchanged", "updated", "superseded"),
        *("failed", "rejected", "deleting", "deleted", REFUSED, UNREADABLE),
    }
)
_POLL_SECONDS = 0.25
_WINDOW = 32
"""Documents asked about at a time, oldest first: the queue is worked on in about that order."""


def settled_state(outcome: str, state: str) -> str:
    """The platform's decision about an upload where it is the end, else the document's state.

    Known bytes are ``unchanged`` even while they are on their way: then the way goes on.
    """
    if outcome == "superseded" or (outcome in ("unchanged", "updated") and state == "live"):
        return outcome
    return state


def outcome_of(path: Path, answer: Mapping[str, Any]) -> Outcome:
    """From the answer to an upload."""
    return Outcome(
        path,
        settled_state(answer["outcome"], answer["state"]),
        document_id=answer["id"],
        generation=answer["generation"],
    )


def unreadable_outcomes(unreadable: Mapping[Path, str]) -> list[Outcome]:
    """Of what :func:`ragp.files.find_files` could not look into."""
    return [Outcome(path, UNREADABLE, reason=reason) for path, reason in unreadable.items()]


def reason_of(answer: Mapping[str, Any]) -> str:
    error = answer.get("error") or {}
    return ": ".join(part for part in (error.get("stage"), error.get("message")) if part)


async def follow(
    client: GatewayClient, pending: Sequence[Outcome], ended: Callable[[], object]
) -> list[Outcome]:
    """Ask the API until every document has ended; ``ended`` is called for each.

    There is no time limit: a queue may be long, and Ctrl-C leaves the documents on their way.
    """
    waiting = list(pending)
    done: list[Outcome] = []
    while waiting:
        window, later = waiting[:_WINDOW], waiting[_WINDOW:]
        looked = await asyncio.gather(*(_look(client, outcome) for outcome in window))
        finished = [outcome for outcome in looked if outcome.state in TERMINAL]
        for _ in finished:
            ended()
        done += finished
        waiting = [outcome for outcome in looked if outcome.state not in TERMINAL] + later
        if not finished:
            await asyncio.sleep(_POLL_SECONDS)
    return done


async def _look(client: GatewayClient, outcome: Outcome) -> Outcome:
    document = await client.document(str(outcome.document_id))
    if document["generation"] > outcome.generation:
        return replace(outcome, state="superseded")
    return replace(outcome, state=document["state"], reason=reason_of(document))
