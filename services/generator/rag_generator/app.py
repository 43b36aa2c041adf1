"""Wires the generator together: so far it starts, reports its health and consumes nothing."""

import contextlib

from starlette.applications import Starlette

from rag_common.broker import create_broker
from rag_common.service import make_service, serve
from rag_generator.settings import GeneratorSettings


def create_app(settings: GeneratorSettings) -> Starlette:
    return make_service(
        settings,
        create_broker(settings, "generator"),
        service="generator",
        lifespan=contextlib.nullcontext,
        checks={},
        consumers=(),
    )


if __name__ == "__main__":
    _settings = GeneratorSettings()
    serve(create_app(_settings), _settings)
