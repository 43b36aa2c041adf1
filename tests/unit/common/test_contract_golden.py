"""The contracts, pinned by files: what was sent yesterday is read today, and the reverse.

``Name.json`` and ``Name.variant.json`` are messages as this release sends them. ``Name.minimal.json``
is the least that an older producer may send: it is never extended, only added to.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import rag_common.contracts as contracts
from rag_common.contracts import Message

GOLDEN = Path(__file__).with_name("golden")
FILES = sorted(GOLDEN.glob("*.json"))
CONTRACTS = {
    name: value
    for name, value in vars(contracts).items()
    if isinstance(value, type) and issubclass(value, Message) and value is not Message
}
FREE_FORM = {"metadata", "headers", "timings_ms", "ranks", "leg_scores"}
"""Objects whose keys are data."""
NEEDED_WITHOUT_ERROR = {"QueryVectors": {"dimension", "vectors"}, "PassageScores": {"scores"}}


def contract_of(path: Path) -> type[Message]:
    return CONTRACTS[path.name.split(".")[0]]


def is_minimal(path: Path) -> bool:
    return path.name.endswith(".minimal.json")


def with_unknown_fields(value: Any) -> Any:
    """The same JSON with a field more in every object of ours."""
    if isinstance(value, list):
        return [with_unknown_fields(item) for item in value]
    if not isinstance(value, dict):
        return value
    known = {key: item if key in FREE_FORM else with_unknown_fields(item) for key, item in value.items()}
    return {**known, "added_by_a_newer_release": {"deep": [1, 2]}}


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_every_contract_has_a_full_and_a_minimal_file(name: str) -> None:
    files = [path for path in FILES if path.name.split(".")[0] == name]
    assert any(is_minimal(path) for path in files)
    assert any(not is_minimal(path) for path in files)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_decodes_and_encodes_to_itself(path: Path) -> None:
    message = contract_of(path).decode(path.read_bytes())
    encoded = json.loads(message.encode())
    expected = json.loads(path.read_text())
    assert (only(encoded, expected) if is_minimal(path) else encoded) == expected


def only(value: Any, like: Any) -> Any:
    """``value`` reduced to the keys of ``like``, at every depth: without the defaults."""
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: only(item, like[key]) for key, item in value.items() if key in like}
    if isinstance(value, list) and isinstance(like, list):
        return [only(item, other) for item, other in zip(value, like, strict=True)]
    return value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fields_of_a_newer_release_are_ignored(path: Path) -> None:
    contract = contract_of(path)
    newer = json.dumps(with_unknown_fields(json.loads(path.read_text()))).encode()
    assert contract.decode(newer) == contract.decode(path.read_bytes())


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_the_minimal_file_holds_exactly_the_required_fields(name: str) -> None:
    """So that a field which becomes required, or is added as required, is noticed."""
    minimal = json.loads((GOLDEN / f"{name}.minimal.json").read_text())
    required = {field for field, info in CONTRACTS[name].model_fields.items() if info.is_required()}
    assert set(minimal) == required | NEEDED_WITHOUT_ERROR.get(name, set())


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_another_version_is_refused(name: str) -> None:
    minimal = json.loads((GOLDEN / f"{name}.minimal.json").read_text())
    with pytest.raises(ValidationError):
        CONTRACTS[name].decode(json.dumps({**minimal, "v": 2}).encode())


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_messages_are_frozen(name: str) -> None:
    message = CONTRACTS[name].decode((GOLDEN / f"{name}.minimal.json").read_bytes())
    with pytest.raises(ValidationError):
        message.v = 1


def test_text_is_not_escaped() -> None:
    """An escaped Cyrillic letter takes six bytes instead of two, and batches are cut by bytes."""
    path = GOLDEN / "EmbedChunks.json"
    assert "Отпуск".encode() in contract_of(path).decode(path.read_bytes()).encode()
