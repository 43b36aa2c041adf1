"""What the micro-batcher did, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from rag_embedder.domain import Priority

_WAITS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class PrometheusMeter:
    """Counters in ``registry``, labelled by priority."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["priority"]
        self._texts = Counter("rag_embedder_texts", "Texts encoded.", labels, registry=registry)
        self._tokens = Counter(
            "rag_embedder_tokens", "Tokens encoded, padding not counted.", labels, registry=registry
        )
        self._slices = Counter("rag_embedder_slices", "Slices encoded.", labels, registry=registry)
        self._seconds = Counter(
            "rag_embedder_encode_seconds",
            "Seconds spent in the model, of all workers.",
            labels,
            registry=registry,
        )
        self._waits = Histogram(
            "rag_embedder_wait_seconds",
            "Seconds from a request's arrival to the start of its first slice.",
            labels,
            buckets=_WAITS,
            registry=registry,
        )

    def waited(self, priority: Priority, seconds: float) -> None:
        self._waits.labels(priority.name.lower()).observe(seconds)

    def encoded(self, priority: Priority, texts: int, tokens: int, seconds: float) -> None:
        label = priority.name.lower()
        self._texts.labels(label).inc(texts)
        self._tokens.labels(label).inc(tokens)
        self._slices.labels(label).inc()
        self._seconds.labels(label).inc(seconds)
