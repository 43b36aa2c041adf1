"""A service with one consumer whose jobs take half a second. Configured by the environment alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from rag_common.broker import Job, consume, create_broker
from rag_common.contracts import EmbedChunks
from rag_common.service import make_service, serve
from rag_common.settings import ServiceSettings
from rag_common.topology import Topology


async def work(_: EmbedChunks, __: Job) -> None:
    print("started", flush=True)
    await asyncio.sleep(0.5)
    print("finished", flush=True)


@asynccontextmanager
async def resources() -> AsyncIterator[None]:
    print("opened", flush=True)
    yield
    print("closed", flush=True)


def create_app(settings: ServiceSettings) -> Starlette:
    broker = create_broker(settings, "embedder")
    consume(broker, Topology(settings.namespace), "embedder-bulk", EmbedChunks, work)
    return make_service(
        settings, broker, service="embedder", lifespan=resources, checks={}, consumers=["embedder-bulk"]
    )


if __name__ == "__main__":
    settings = ServiceSettings()
    serve(create_app(settings), settings)
