"""Wires the generator together: so far it starts, reports its health and consumes nothing."""

import contextlib
from collections.abc import AsyncIterator

from rag_common.service import make_service, serve
from starlette.types import ASGIApp

from rag_common.broker import create_broker
from rag_generator.settings import GeneratorSettings


def create_app(settings: GeneratorSettings) -> ASGIApp:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield

    broker = create_broker(settings, "generator")
    return make_service(settings, broker, service="generator", lifespan=lifespan, checks={}, consumers=())


if __name__ == "__main__":
    _settings = GeneratorSettings()
    serve(create_app(_settings), _settings)
