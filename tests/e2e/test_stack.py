"""Documents in, passages out, on the whole embedded stack."""

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest
from cli_stack import CliStack, eventually

pytestmark = pytest.mark.timeout(240)

ROOT = Path(__file__).parents[2]
IDLE_BYTES = 1.6e9
LARGE_PAGE = f"<p>The foghorn sounds twice.</p><!-- {'x' * 200_000} -->"
"""Too large for a message, and with little to read."""


def write(directory: Path, **texts: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, text in texts.items():
        (directory / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return directory


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_an_idle_stack_fits_its_memory_budget(stack: CliStack) -> None:
    processes = stack.status()["processes"]
    for process in processes:
        print(f"{process['name']:<10} {process['rss'] / 1e6:7.0f} MB")
    total = sum(process["rss"] for process in processes)
    print(f"{'total':<10} {total / 1e6:7.0f} MB")
    assert {process["name"] for process in processes if process["ready"]} == {
        *("supervisor", "nats", "postgres"),
        *("gateway", "ingest", "embedder", "retriever", "generator"),
    }
    assert total <= IDLE_BYTES


def test_a_text_goes_from_an_http_request_to_a_search_hit(stack: CliStack) -> None:
    collection = f"http-{uuid.uuid4().hex[:8]}"
    with stack.http() as http:
        http.post("/v1/collections", json={"name": collection}).raise_for_status()
        text = "The ferry to Skagen leaves from pier four at noon."
        body = {"collection": collection, "source_uri": "note:/ferry", "text": text, "title": "Ferry"}
        accepted = http.post("/v1/documents", json=body)
        assert accepted.status_code == 202
        (document,) = accepted.json()["documents"]
        eventually(lambda: http.get(f"/v1/documents/{document['id']}").json()["state"] == "live")
        question = {"query": "when does the boat depart?", "collections": [collection]}
        found = http.post("/v1/search", json=question).raise_for_status().json()
    (passage,) = found["passages"]
    assert (passage["title"], passage["text"], passage["document_id"]) == ("Ferry", text, document["id"])
    assert not found["degraded"]


def test_ingest_reports_what_became_of_each_file(stack: CliStack, tmp_path: Path) -> None:
    collection = f"cli-{uuid.uuid4().hex[:8]}"
    files = write(tmp_path / "docs", storm_md="# Storm\n\nClose the hatches when the wind is above 20 m/s.")
    write(files, отпуск_txt="Отпуск длится двадцать восемь дней.", empty_txt="")
    printed = stack.ragp("ingest", files, "--collection", collection, "-m", "year=2026", code=1)
    assert "2 live" in printed
    assert re.search(r"empty\.txt.*(failed|refused)", printed)
    (files / "empty.txt").unlink()
    assert "2 unchanged" in stack.ragp("ingest", files, "--collection", collection)
    (passage, *_) = stack.search("сколько длится отпуск", "--collection", collection)
    assert passage["title"] == "отпуск.txt"
    assert passage["metadata"] == {"year": 2026}
    assert "score" in stack.ragp("search", "wind", "--collection", collection)


def test_documents_can_be_listed_shown_and_deleted(stack: CliStack, tmp_path: Path) -> None:
    collection = f"cli-{uuid.uuid4().hex[:8]}"
    files = write(tmp_path / "docs", anchor_txt="Drop the anchor in sand, not on rock.")
    stack.ragp("ingest", files, "--collection", collection)
    (passage,) = stack.search("anchor", "--collection", collection)
    document_id = passage["document_id"]
    assert document_id in stack.ragp("documents", "list", "--collection", collection)
    assert '"live"' in stack.ragp("documents", "show", document_id)
    assert "Drop the anchor" in stack.ragp("documents", "chunks", document_id)
    stack.ragp("documents", "delete", document_id)
    assert stack.search("anchor", "--collection", collection) == []


def test_drops_inline_and_through_the_bucket(stack: CliStack, tmp_path: Path) -> None:
    collection = f"drop-{uuid.uuid4().hex[:8]}"
    files = write(tmp_path / "docs", small_txt="The lighthouse is painted red.", large_html=LARGE_PAGE)
    assert (files / "large.html").stat().st_size > 128 * 1024
    assert "2 live" in stack.ragp("drop", files, "--collection", collection)
    assert "2 unchanged" in stack.ragp("drop", files, "--collection", collection)
    (passage, *_) = stack.search("which colour is the lighthouse", "--collection", collection)
    assert passage["title"] == "small.txt"


def test_a_drop_into_an_unknown_collection_fails_with_the_reason(stack: CliStack, tmp_path: Path) -> None:
    files = write(tmp_path / "docs", note_txt="A note.")
    printed = stack.ragp("drop", files, "--collection", "nowhere", "--no-create", code=1)
    assert "nowhere" in printed


def test_the_documented_producer_runs_as_it_stands(stack: CliStack, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- producer -->\n```python\n(.*?)```", page, re.DOTALL)
    assert found is not None
    with stack.http() as http:
        assert http.post("/v1/collections", json={"name": "handbook"}).status_code in (201, 409)
    files = write(tmp_path / "docs", mast_md="# Mast\n\nNever climb the mast alone.")
    write(files, long_html=LARGE_PAGE)
    variables = dict(line.split("=", 1) for line in stack.ragp("status", "--producer").splitlines())
    produced = subprocess.run(
        [sys.executable, "-c", found[1], *sorted(map(str, files.iterdir()))],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert produced.returncode == 0, produced.stderr
    assert produced.stdout.count("stored as") == 2
    for words in ("climb the mast", "foghorn"):
        eventually(lambda words=words: words in str(stack.search(words, "--collection", "handbook")))


@pytest.mark.parametrize("name", ["retriever", "nats", "postgres"])
def test_a_killed_process_is_restarted(stack: CliStack, name: str) -> None:
    before = stack.process(name)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    eventually(lambda: stack.process(name).restarts > before.restarts)
    eventually(lambda: stack.process(name).state == "ready")
    assert stack.process(name).pid != before.pid
    with stack.http() as http:
        eventually(lambda: http.post("/v1/search", json={"query": "anything"}).status_code == 200)


def test_state_survives_a_restart_and_down_leaves_no_process(stack: CliStack, tmp_path: Path) -> None:
    collection = f"kept-{uuid.uuid4().hex[:8]}"
    files = write(tmp_path / "docs", oar_txt="A spare oar is under the bench.")
    stack.ragp("ingest", files, "--collection", collection)
    key, pids = stack.ragp("key", "show"), stack.pids()
    stack.down()
    assert not [pid for pid in pids if is_alive(pid)]
    assert "ragp up" not in stack.ragp("down")
    stack.up()
    assert stack.ragp("key", "show") == key
    (passage,) = stack.search("where is the spare oar", "--collection", collection)
    assert "under the bench" in passage["text"]


def test_after_a_killed_supervisor_the_next_start_cleans_up(stack: CliStack) -> None:
    pids = stack.pids()
    os.kill(stack.run_record().pid, signal.SIGKILL)
    stack.up()
    assert not [pid for pid in pids if is_alive(pid)]
    assert stack.status()["ready"]
