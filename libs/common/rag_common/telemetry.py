"""Logs as JSON lines on stderr, and traces. Nothing is configured at import."""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, ParentBased

from rag_common.settings import ServiceSettings


def configure_logging(settings: ServiceSettings, service: str) -> None:
    """Send every log line, the libraries' too, to stderr as one JSON object.

    Each has ``timestamp``, ``level``, ``service`` and ``event``, inside a job also ``trace_id``,
    ``document_id`` and ``generation``.
    """

    def add_service(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        _add_trace,
        structlog.processors.format_exc_info,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    # A line per HTTP request or started subscriber is noise beside the jobs' own lines.
    for noisy in ("httpx", "httpcore", "uvicorn", "rag.faststream"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _add_trace(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", trace.format_trace_id(context.trace_id))
    return event


def create_tracer_provider(settings: ServiceSettings, service: str) -> TracerProvider:
    """A provider that exports to ``settings.otlp_endpoint``.

    Without an endpoint nothing is recorded, but ids are still made and passed on in the headers,
    so that the log lines of one document carry one ``trace_id`` through all services.
    """
    resource = Resource.create({"service.name": service, "service.namespace": settings.namespace})
    sampler = ParentBased(ALWAYS_OFF) if settings.otlp_endpoint is None else DEFAULT_ON
    provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    if settings.otlp_endpoint is not None:
        # Imported here: the exporter brings requests and protobuf, some 15 MB.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint)))
    return provider


@contextmanager
def log_fields(**fields: object) -> Iterator[None]:
    """Put these fields on every log line inside the block."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield
