"""The gateway as a process of its own: its key file, its memory under a large upload, its end."""

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from gateway_support import Place, eventually, problem

from rag_common.registry import Registry

MEBIBYTE = 1024 * 1024
UPLOAD = 300 * MEBIBYTE
GROWTH = 50 * MEBIBYTE


@dataclass(frozen=True)
class Process:
    process: asyncio.subprocess.Process
    http: httpx.AsyncClient
    key_file: Path

    def memory(self) -> int:
        size: int = psutil.Process(self.process.pid).memory_info().rss
        return size


@pytest.fixture
async def process(place: Place, registry: Registry, tmp_path: Path) -> AsyncIterator[Process]:
    key_file = tmp_path / "keys" / "api-key"
    environment = {
        "RAG_NATS_URL": place.nats_url,
        "RAG_DATABASE_URL": place.database_url,
        "RAG_NAMESPACE": place.topology.namespace,
        "RAG_API_KEY_FILE": str(key_file),
        "RAG_GRACEFUL_TIMEOUT": "5",
    }
    log = tmp_path / "log"
    with log.open("w") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rag_gateway.app", env=os.environ | environment, stderr=errors
        )
    try:
        port = await eventually(lambda: listening(log))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            await eventually(lambda: ready(http))
            http.headers["Authorization"] = f"Bearer {key_file.read_text().strip()}"
            yield Process(process, http, key_file)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def listening(log: Path) -> int | None:
    return port_of(log)


def port_of(log: Path) -> int | None:
    for line in log.read_text().splitlines():
        if '"listening"' in line:
            port: int = json.loads(line)["port"]
            return port
    return None


async def ready(http: httpx.AsyncClient) -> bool | None:
    try:
        return (await http.get("/readyz")).status_code == 200 or None
    except httpx.TransportError:
        return None


async def test_the_key_is_private_and_an_end_is_orderly(process: Process) -> None:
    assert stat.S_IMODE(process.key_file.stat().st_mode) == 0o600
    assert (await process.http.get("/v1/collections")).status_code == 200
    process.process.terminate()
    async with asyncio.timeout(20):
        await process.process.wait()
    assert process.process.returncode in (0, -signal.SIGTERM)


async def test_memory_stays_flat_while_a_large_upload_streams_through(process: Process) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="collection"\r\n\r\nhandbook\r\n'
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="big.bin"\r\n\r\n'
        piece = os.urandom(MEBIBYTE)
        for _ in range(UPLOAD // MEBIBYTE):
            yield piece
        yield b"\r\n--x--\r\n"

    await process.http.post("/v1/documents", json={"collection": "handbook", "text": "warm up"})
    before = peak = process.memory()
    upload = asyncio.create_task(
        process.http.post(
            "/v1/documents", content=body(), headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
    )
    while not upload.done():
        await asyncio.sleep(0.02)
        peak = max(peak, process.memory())
    (document,) = upload.result().json()["documents"]
    assert document["size"] == UPLOAD
    assert peak - before <= GROWTH, f"grew by {(peak - before) / MEBIBYTE:.0f} MiB"

    download_peak = before
    async with process.http.stream("GET", f"/v1/documents/{document['id']}/content") as response:
        size = 0
        async for piece in response.aiter_raw():
            size += len(piece)
            download_peak = max(download_peak, process.memory())
    assert size == UPLOAD
    assert download_peak - before <= GROWTH, f"grew by {(download_peak - before) / MEBIBYTE:.0f} MiB"


async def test_ten_megabytes_of_metadata_are_not_kept_in_memory(process: Process) -> None:
    await process.http.post("/v1/documents", json={"collection": "handbook", "text": "warm up"})
    before = process.memory()
    for _ in range(3):
        response = await process.http.post(
            "/v1/documents",
            data={"collection": "handbook", "metadata": '{"a": "' + "x" * 10_000_000 + '"}'},
            files=[("files", ("a.txt", b"text"))],
        )
        problem(response, 413, "field_too_large")
    assert process.memory() - before < 8 * MEBIBYTE
