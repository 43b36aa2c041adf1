"""When is a document at the end of its way?"""

from pathlib import Path

import pytest
import typer

from ragp.following import outcome_of, reason_of, settled_state
from ragp.outcomes import Outcome, exit_code


@pytest.mark.parametrize(
    ("outcome", "state", "expected"),
    [
        ("accepted", "accepted", "accepted"),
        ("unchanged", "live", "unchanged"),
        ("unchanged", "embedding", "embedding"),
        ("updated", "live", "updated"),
        ("updated", "parsing", "parsing"),
        ("superseded", "live", "superseded"),
        ("live", "failed", "failed"),
    ],
)
def test_known_bytes_on_their_way_are_followed(outcome: str, state: str, expected: str) -> None:
    assert settled_state(outcome, state) == expected


def test_an_upload_is_followed_by_its_generation() -> None:
    answer = {"id": "d", "generation": 3, "state": "accepted", "outcome": "accepted"}
    path = Path("a.md")
    assert outcome_of(path, answer) == Outcome(path, "accepted", document_id="d", generation=3)


def test_a_reason_names_the_stage() -> None:
    error = {"stage": "parse", "code": "empty", "message": "no text found"}
    assert reason_of({"error": error}) == "parse: no text found"
    assert reason_of({"error": None}) == ""


def test_one_failure_makes_the_command_fail() -> None:
    good = [Outcome(Path("a"), state) for state in ("live", "unchanged", "updated", "superseded")]
    exit_code(good)
    for state in ("failed", "rejected", "refused", "unreadable", "deleted"):
        with pytest.raises(typer.Exit) as caught:
            exit_code([*good, Outcome(Path("b"), state)])
        assert caught.value.exit_code == 1
