"""The bootstrap key, and who a key belongs to."""

import stat
import threading
from pathlib import Path

import pytest

from rag_common.errors import PermanentError
from rag_gateway.identity import KEY_PREFIX, ApiKeys, Caller, NoIdentity, bootstrap_key

ANNA = Caller("anna", "default", ("user:anna", "*"))
ROOT = Caller("bootstrap", "default", ("*",), administrator=True)


def test_the_first_start_makes_a_private_key(tmp_path: Path) -> None:
    path = tmp_path / "new" / "api-key"
    key = bootstrap_key(path)
    assert key.startswith(KEY_PREFIX)
    assert len(key) >= 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_later_starts_keep_the_key(tmp_path: Path) -> None:
    path = tmp_path / "api-key"
    assert bootstrap_key(path) == bootstrap_key(path)
    path.write_text("  own-key \n")
    assert bootstrap_key(path) == "own-key"


def test_keys_differ(tmp_path: Path) -> None:
    assert bootstrap_key(tmp_path / "a") != bootstrap_key(tmp_path / "b")


def test_gateways_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "api-key"
    keys: list[str] = []
    start = threading.Barrier(8)

    def run() -> None:
        start.wait()
        keys.append(bootstrap_key(path))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_or_unreadable_file_stops_the_start(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(PermanentError, match="empty"):
        bootstrap_key(empty)
    with pytest.raises(PermanentError, match="cannot be used"):
        bootstrap_key(tmp_path)


def test_a_key_names_its_caller() -> None:
    keys = ApiKeys({"one": ANNA, "two": ROOT})
    assert keys.caller("Bearer one") is ANNA
    assert keys.caller("bearer two") is ROOT


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic one", "one", "Bearer on", "Bearer one two", "Bearer \udcff"],
)
def test_nothing_else_names_anybody(header: str | None) -> None:
    with pytest.raises(NoIdentity):
        ApiKeys({"one": ANNA}).caller(header)


def test_only_an_administrator_manages_every_document() -> None:
    assert ANNA.manages == ("user:anna", "*")
    assert ROOT.manages is None
