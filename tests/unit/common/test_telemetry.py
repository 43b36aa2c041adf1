import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.trace import format_trace_id

from rag_common.settings import ServiceSettings
from rag_common.telemetry import configure_logging, create_tracer_provider, log_fields


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """The process's own logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def stderr(restored_logging: None, capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """Where the log goes."""
    return capsys


def lines(stderr: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in stderr.readouterr().err.splitlines()]


def test_each_line_is_json_with_the_fields_of_the_job(stderr: pytest.CaptureFixture[str]) -> None:
    configure_logging(ServiceSettings(), "ingest")
    with log_fields(document_id="d1", generation=2):
        structlog.get_logger("x").info("parsed", title="Отпуск")
    structlog.get_logger("x").debug("not shown")
    [line] = lines(stderr)
    assert line.pop("timestamp")
    assert line == {
        "event": "parsed",
        "level": "info",
        "service": "ingest",
        "document_id": "d1",
        "generation": 2,
        "title": "Отпуск",
    }


def test_libraries_log_in_the_same_form(stderr: pytest.CaptureFixture[str]) -> None:
    configure_logging(ServiceSettings(log_level="WARNING"), "ingest")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("some.library").exception("it failed: %s", "why")
    logging.getLogger("some.library").info("not shown")
    [line] = lines(stderr)
    assert (line["event"], line["level"], line["service"]) == ("it failed: why", "error", "ingest")
    assert "ValueError: broken" in str(line["exception"])


def test_inside_a_span_the_line_names_the_trace(stderr: pytest.CaptureFixture[str]) -> None:
    configure_logging(ServiceSettings(), "ingest")
    provider = create_tracer_provider(ServiceSettings(), "ingest")
    with provider.get_tracer("test").start_as_current_span("work") as span:
        structlog.get_logger("x").info("parsed")
    [line] = lines(stderr)
    assert line["trace_id"] == format_trace_id(span.get_span_context().trace_id)


def test_without_an_endpoint_nothing_is_recorded() -> None:
    provider = create_tracer_provider(ServiceSettings(), "ingest")
    with provider.get_tracer("test").start_as_current_span("work") as span:
        assert not span.is_recording()
        assert span.get_span_context().is_valid


def test_with_an_endpoint_spans_are_recorded() -> None:
    settings = ServiceSettings(otlp_endpoint="http://127.0.0.1:1/v1/traces")
    provider = create_tracer_provider(settings, "ingest")
    span = provider.get_tracer("test").start_span("work")
    # Not ended: there is nothing to export, and nobody would answer.
    assert span.is_recording()
    provider.shutdown()
