"""A service as a process: probes, metrics, JSON logs, and an orderly end at SIGTERM."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from common_support import count, embed_chunks, eventually
from nats.js import JetStreamContext

from rag_common.contracts import EmbedChunks
from rag_common.provision import provision
from rag_common.testing import NatsServer
from rag_common.topology import Topology


class Service:
    """The example service, its log and its address."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    async def get(self, path: str) -> httpx.Response:
        async def listening() -> bool:
            return any(line["event"] == "listening" for line in self.lines())

        await eventually(listening)
        port = next(line["port"] for line in self.lines() if line["event"] == "listening")
        async with httpx.AsyncClient() as http:
            return await http.get(f"http://127.0.0.1:{port}{path}")

    async def ready(self) -> bool:
        return (await self.get("/readyz")).status_code == 200

    async def output(self, line: str) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            assert (await self.process.stdout.readline()).decode().strip() == line


@pytest.fixture
def script() -> str:
    return "example_service.py"


@pytest.fixture
async def service(
    nats_server: NatsServer, topology: Topology, tmp_path: Path, script: str
) -> AsyncIterator[Service]:
    environment = {"RAG_NATS_URL": nats_server.url, "RAG_NAMESPACE": topology.namespace, "RAG_PORT": "0"}
    log = tmp_path / "log"
    with log.open("w") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            Path(__file__).with_name(script),
            env=os.environ | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    yield Service(process, log)
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_it_waits_for_provisioning_and_says_so(
    service: Service, topology: Topology, jetstream: JetStreamContext
) -> None:
    await service.output("opened")
    assert (await service.get("/livez")).status_code == 200
    answer = await service.get("/readyz")
    assert answer.status_code == 503
    assert f"stream {topology.stream('EMBED')}: missing" in answer.json()["problems"]["nats"]
    assert "ragp provision" in answer.json()["problems"]["nats"]

    await provision(jetstream, topology)
    await eventually(service.ready)
    assert (await service.get("/readyz")).json() == {"ready": True, "problems": {}}
    # A consumer that is changed behind its back makes it unready.
    stream = topology.stream("EMBED")
    config = (await jetstream.consumer_info(stream, "embedder-bulk")).config
    await jetstream.add_consumer(stream, config.evolve(ack_wait=1.0))
    assert (await service.get("/readyz")).status_code == 503


async def test_sigterm_lets_the_running_job_finish(
    service: Service, provisioned: Topology, jetstream: JetStreamContext
) -> None:
    await service.output("opened")
    await eventually(service.ready)
    subject = provisioned.subject(EmbedChunks, lane="bulk")
    await jetstream.publish(subject, embed_chunks().encode())
    await service.output("started")
    service.process.terminate()
    await service.output("finished")
    await service.output("closed")
    await asyncio.wait_for(service.process.wait(), 20)
    assert await count(jetstream, provisioned.stream("EMBED")) == 0


async def test_metrics_and_logs(service: Service, provisioned: Topology, jetstream: JetStreamContext) -> None:
    await eventually(service.ready)
    await jetstream.publish(provisioned.subject(EmbedChunks, lane="bulk"), b"not a message")

    async def failed() -> bool:
        return any(line["event"] == "job_failed" for line in service.lines())

    await eventually(failed)
    line = next(line for line in service.lines() if line["event"] == "job_failed")
    assert (line["level"], line["service"], line["code"]) == ("error", "embedder", "bad_message")
    assert (line["consumer"], line["attempt"]) == ("embedder-bulk", 1)
    assert len(str(line["trace_id"])) == 32
    assert "timestamp" in line
    metrics = (await service.get("/metrics")).text
    assert 'rag_jobs_failed_total{code="bad_message",consumer="embedder-bulk"} 1.0' in metrics
    assert "process_resident_memory_bytes" in metrics


@pytest.mark.parametrize("script", ["broken_service.py"])
async def test_a_start_that_can_never_succeed_ends_the_process(service: Service) -> None:
    status = await asyncio.wait_for(service.process.wait(), 20)
    assert status != 0
    line = next(line for line in service.lines() if line["event"] == "start_failed")
    assert line["level"] == "critical"
    assert "embedder-misspelt" in str(line["exception"])
