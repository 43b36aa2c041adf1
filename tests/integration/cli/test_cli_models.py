"""``ragp models`` against a fake Ollama."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rag_common.testing.ollama_server import MODEL, OllamaServer
from rag_generator.settings import GeneratorSettings
from ragp.errors import CommandError
from ragp.language_models import ListedModel, PullStep, generator_settings, list_models, pull
from ragp.settings import CliSettings
from ragp.stack.state import DataDirectory, ProcessRecord, RunRecord


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer("llama3.2:latest") as server:
        yield server


def settings(ollama: OllamaServer, **others: object) -> GeneratorSettings:
    return GeneratorSettings(**{"ollama_url": ollama.url, **others})  # type: ignore[arg-type]


def ragp(data_dir: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ragp", "models", *arguments, "--data-dir", str(data_dir)],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip


async def test_a_model_is_missing_then_pulled_then_used(ollama: OllamaServer, tmp_path: Path) -> None:
    missing = await asyncio.to_thread(ragp, tmp_path, "list", RAG_OLLAMA_URL=ollama.url)
    assert missing.returncode == 0
    assert "llama3.2:latest" in missing.stdout
    assert f"ragp models pull {MODEL}" in missing.stderr
    pulled = await asyncio.to_thread(ragp, tmp_path, "pull", RAG_OLLAMA_URL=ollama.url)
    assert (pulled.returncode, pulled.stdout) == (0, f"Ollama has {MODEL}\n")
    used = {each.name: each.used for each in await list_models(settings(ollama))}
    assert used == {"llama3.2:latest": False, MODEL: True}


async def test_a_wrong_name_and_an_absent_ollama_are_told_with_a_cure(
    ollama: OllamaServer, tmp_path: Path
) -> None:
    wrong = await asyncio.to_thread(ragp, tmp_path, "pull", "no-such", RAG_OLLAMA_URL=ollama.url)
    assert wrong.returncode == 1
    assert "cannot pull no-such: pull model manifest: file does not exist" in wrong.stderr
    assert "check the name" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    ollama.stop()
    with pytest.raises(CommandError, match=f"nothing answers at {ollama.url}") as away:
        await list_models(settings(ollama))
    assert "RAG_OLLAMA_URL" in (away.value.cure or "")


async def test_what_is_loaded_and_used_is_marked(ollama: OllamaServer) -> None:
    ollama.loaded.add("llama3.2:latest")
    ollama.models.append(MODEL)
    listed = await list_models(settings(ollama, llm_model="llama3.2"))
    assert [(each.name, each.loaded, each.used) for each in listed] == [
        ("llama3.2:latest", True, True),
        (MODEL, False, False),
    ]


async def test_an_endpoint_without_a_list_is_trusted_to_have_the_model(ollama: OllamaServer) -> None:
    """As the generator does; the fake has no such list."""
    other = settings(ollama, llm="openai", openai_url=f"{ollama.url}/v1", llm_model="large")
    assert await list_models(other) == [ListedModel("large", used=True)]


async def test_an_endpoint_that_refuses_is_told_with_what_to_look_at(ollama: OllamaServer) -> None:
    with pytest.raises(CommandError, match="404") as failed:
        await list_models(settings(ollama, ollama_url=f"{ollama.url}/nothing/here"))
    assert "RAG_OLLAMA_URL" in (failed.value.cure or "")


async def test_a_pull_whose_connection_is_cut_is_told_as_such(ollama: OllamaServer, tmp_path: Path) -> None:
    ollama.pull_is_cut = True
    cut = await asyncio.to_thread(ragp, tmp_path, "pull", RAG_OLLAMA_URL=ollama.url)
    assert cut.returncode == 1
    assert f"the connection to {ollama.url}/ broke off" in cut.stderr
    assert "nothing answers" not in cut.stderr


async def test_the_progress_of_a_pull_is_told_in_bytes(ollama: OllamaServer) -> None:
    steps = [step async for step in pull(settings(ollama), MODEL)]
    assert steps[0] == PullStep(status="pulling manifest")
    assert [step.completed for step in steps if step.digest] == [0, 500_000, 1_000_000]
    assert steps[-1].status == "success"


def test_a_running_stack_is_asked_for_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_LLM", "extractive")
    own_settings = {"RAG_OLLAMA_URL": "http://127.0.0.1:1234", "RAG_LLM_MODEL": "large"}
    generator = subprocess.Popen(["sleep", "60"], env={**own_settings, "PATH": os.environ["PATH"]})
    try:
        directory = DataDirectory(tmp_path)
        directory.run_file.parent.mkdir(parents=True, exist_ok=True)
        own = psutil.Process()
        record = RunRecord(
            pid=own.pid,
            created=own.create_time(),
            started_at=time.time(),
            ready=True,
            url="http://127.0.0.1:8080",
            processes=(
                ProcessRecord(
                    name="generator",
                    pid=generator.pid,
                    created=psutil.Process(generator.pid).create_time(),
                    port=None,
                    state="ready",
                    restarts=0,
                ),
            ),
        )
        directory.run_file.write_text(record.model_dump_json())
        found = generator_settings(CliSettings(data_dir=tmp_path))
    finally:
        generator.kill()
        generator.wait()
    assert (found.ollama_url, found.llm_model) == ("http://127.0.0.1:1234", "large")
    assert found.llm == "auto", "this command's own environment is not the stack's"


def test_without_a_stack_the_environment_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_LLM_MODEL", "mine")
    assert generator_settings(CliSettings(data_dir=tmp_path)).llm_model == "mine"
    monkeypatch.setenv("RAG_LLM", "openai")
    with pytest.raises(CommandError, match="RAG_OPENAI_URL"):
        generator_settings(CliSettings(data_dir=tmp_path))
