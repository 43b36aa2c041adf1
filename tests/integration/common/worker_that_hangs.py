"""A worker that announces its job on stdout and then never ends. Arguments: NATS URL, namespace."""

import asyncio
import sys

from rag_common.broker import Job, consume, create_broker
from rag_common.contracts import EmbedChunks
from rag_common.settings import ServiceSettings
from rag_common.topology import Topology


async def hang(_: EmbedChunks, job: Job) -> None:
    print("started", job.attempt, flush=True)
    await asyncio.Event().wait()


async def main(url: str, namespace: str) -> None:
    topology = Topology(namespace).with_consumer("embedder-bulk", ack_wait=0.5)
    broker = create_broker(ServiceSettings(namespace=namespace, nats_url=url), "test")
    consume(broker, topology, "embedder-bulk", EmbedChunks, hang)
    await broker.start()
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
