"""Resident memory of the idle stack, and of the gateway while a large upload streams through it."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from corpus import documents
from harness import COLLECTION, Bench, run, say, started

MEGABYTE = 1_000_000


async def main(quick: bool) -> dict[str, Any]:
    async with started() as bench:
        # one document and one search, so that every lazy import has happened
        await bench.drop(documents(1))
        await bench.wait_live(1)
        (await bench.http.post("/v1/search", json={"query": "Which plan?"})).raise_for_status()
        await asyncio.sleep(2 if quick else 10)
        idle = bench.rss()
        say("idle RSS, MB: " + ", ".join(f"{name} {size // MEGABYTE}" for name, size in idle.items()))
        size = (60 if quick else 300) * MEGABYTE
        grown = await upload_growth(bench, size)
    return {
        "idle_rss_mb": round(sum(idle.values()) / MEGABYTE),
        "idle_rss_mb_by_process": {name: round(size / MEGABYTE) for name, size in idle.items()},
        "upload_mb": size // MEGABYTE,
        "gateway_growth_mb": round(grown / MEGABYTE, 1),
    }


async def upload_growth(bench: Bench, size: int) -> int:
    """Largest resident size of the gateway during the upload, less what it was before."""
    before = largest = bench.rss()["gateway"]
    upload = asyncio.create_task(_upload(bench, size))
    while not upload.done():
        largest = max(largest, bench.rss()["gateway"])
        await asyncio.sleep(0.05)
    status = await upload
    say(f"an upload of {size // MEGABYTE} MB was answered with {status}")
    assert status == 202, status
    return largest - before


async def _upload(bench: Bench, size: int) -> int:
    boundary = "bench-boundary"
    block = os.urandom(MEGABYTE // 2).hex().encode()

    async def body() -> AsyncIterator[bytes]:
        for name, value in (("collection", COLLECTION), ("source_uri", "bench:/large.txt")):
            yield (
                f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            ).encode()
        yield (
            f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="large.txt"\r\n'
            "Content-Type: text/plain\r\n\r\n"
        ).encode()
        for _ in range(size // len(block)):
            yield block
        yield f"\r\n--{boundary}--\r\n".encode()

    response = await bench.http.post(
        "/v1/documents",
        content=body(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        timeout=300,
    )
    return response.status_code


if __name__ == "__main__":
    run(main, __doc__ or "")
