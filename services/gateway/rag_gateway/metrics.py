"""What the gateway counts."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_ANSWER_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 60, 120)


class GatewayMetrics:
    """In the service's own registry, which ``/metrics`` shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "rag_http_requests",
            "Answered requests, by route pattern and status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "rag_http_request_seconds",
            "Time until the last byte of the answer, by route pattern.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.uploaded = Counter("rag_upload_bytes", "Bytes of files stored for uploads.", registry=registry)
        self.searches = Counter(
            "rag_searches", "Answered searches, by the mode that was used.", ["mode"], registry=registry
        )
        self.degraded = Counter(
            "rag_searches_degraded", "Searches answered without one of their legs.", registry=registry
        )
        self.answers_lost = Counter(
            "rag_answers_not_recorded",
            "Answers that reached their client while the registry could not keep them.",
            registry=registry,
        )
        self.feedback = Counter(
            "rag_feedback", "What callers said of answers, by their rating.", ["rating"], registry=registry
        )
        self.dead_letters = Counter(
            "rag_dead_letters",
            "Dead letters, by stage, code and whether a document has failed by it.",
            ["stage", "code", "document"],
            registry=registry,
        )
        self.reconciled = Counter(
            "rag_reconciler_actions", "What the reconciler has mended.", ["action"], registry=registry
        )
        self.reconciler_refusing = Gauge(
            "rag_reconciler_refusing",
            "1 while NATS and the registry belong to different installations.",
            registry=registry,
        )
        self.event_streams = Gauge("rag_event_streams", "Open event streams.", registry=registry)
        self.questions = Counter(
            "rag_questions",
            "Questions by how they ended: answered, not_found, degraded, cached, failed, cancelled.",
            ["outcome"],
            registry=registry,
        )
        self.first_event_seconds = Histogram(
            "rag_answer_first_event_seconds",
            "Time from a question to the passages of its answer.",
            buckets=_ANSWER_SECONDS,
            registry=registry,
        )
        self.answer_seconds = Histogram(
            "rag_answer_seconds",
            "Time from a question to the end of its answer, however it ended.",
            buckets=_ANSWER_SECONDS,
            registry=registry,
        )
        self.open_answers = Gauge("rag_open_answers", "Questions that are being answered.", registry=registry)


class CountRequests:
    """ASGI middleware: counts requests by the pattern of their route, never by their path."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(method, route).observe(time.perf_counter() - started)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
