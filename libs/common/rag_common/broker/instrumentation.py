"""FastStream's trace and metric middlewares, labelled by subject pattern instead of subject.

A subject may hold a tenant or a query id; as a metric label or span name those would grow for ever.
"""

from typing import Any

from faststream.message import StreamMessage
from faststream.nats.opentelemetry.provider import NatsTelemetrySettingsProvider
from faststream.nats.prometheus.provider import NatsMetricsSettingsProvider
from faststream.nats.response import NatsPublishCommand
from faststream.opentelemetry.consts import MESSAGING_DESTINATION_PUBLISH_NAME
from faststream.opentelemetry.middleware import TelemetryMiddleware
from faststream.prometheus import ConsumeAttrs
from faststream.prometheus.middleware import PrometheusMiddleware
from faststream.response import PublishCommand
from nats.aio.msg import Msg
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.semconv.trace import SpanAttributes
from opentelemetry.trace import TracerProvider
from prometheus_client import CollectorRegistry

from rag_common.topology import Topology


class _Traces(NatsTelemetrySettingsProvider):
    def __init__(self, topology: Topology) -> None:
        super().__init__()
        self._topology = topology

    def get_publish_attrs_from_cmd(self, cmd: PublishCommand) -> dict[str, Any]:
        attributes = super().get_publish_attrs_from_cmd(cmd)
        attributes[SpanAttributes.MESSAGING_DESTINATION_NAME] = self._topology.label(cmd.destination)
        return attributes

    def get_publish_destination_name(self, cmd: PublishCommand) -> str:
        return self._topology.label(cmd.destination)

    def get_consume_attrs_from_message(self, msg: StreamMessage[Msg]) -> dict[str, Any]:
        attributes = super().get_consume_attrs_from_message(msg)
        attributes[MESSAGING_DESTINATION_PUBLISH_NAME] = self._topology.label(msg.raw_message.subject)
        return attributes

    def get_consume_destination_name(self, msg: StreamMessage[Msg]) -> str:
        return self._topology.label(msg.raw_message.subject)


class _Metrics(NatsMetricsSettingsProvider):
    def __init__(self, topology: Topology) -> None:
        super().__init__()
        self._topology = topology

    def get_publish_destination_name_from_cmd(self, cmd: PublishCommand) -> str:
        return self._topology.label(cmd.destination)

    def get_consume_attrs_from_message(self, msg: StreamMessage[Msg]) -> ConsumeAttrs:
        attributes = super().get_consume_attrs_from_message(msg)
        return {**attributes, "destination_name": self._topology.label(msg.raw_message.subject)}


def trace_middleware(topology: Topology, provider: TracerProvider) -> TelemetryMiddleware[NatsPublishCommand]:
    """Spans, and the trace context in the message headers; metrics are Prometheus's matter."""
    traces = _Traces(topology)
    return TelemetryMiddleware(
        settings_provider_factory=lambda _: traces,
        tracer_provider=provider,
        meter_provider=NoOpMeterProvider(),
    )


def metric_middleware(
    topology: Topology, registry: CollectorRegistry
) -> PrometheusMiddleware[Any, NatsPublishCommand]:
    """Counters and histograms of received and published messages, in ``registry``."""
    metrics = _Metrics(topology)
    return PrometheusMiddleware(
        settings_provider_factory=lambda _: metrics, registry=registry, metrics_prefix="rag"
    )
