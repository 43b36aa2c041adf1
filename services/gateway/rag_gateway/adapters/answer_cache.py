"""Answers in a key-value bucket of NATS, in memory, and what is counted about them."""

from collections.abc import Callable

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from prometheus_client import CollectorRegistry, Counter

from rag_common.errors import TransientError
from rag_common.provision import verify
from rag_common.registry import Position as RegistryPosition
from rag_common.registry import Registry
from rag_common.topology import Topology
from rag_gateway.domain.freshness import Look, Position

BUCKET = "answers"
_ROOM = 1024
"""Bytes of a message beside its value: subject and headers."""


class NatsAnswers:
    """The bucket ``answers``: values by their keys, each for some seconds.

    The bucket is verified before it is used for the first time, and again after it has failed.
    """

    def __init__(
        self, jetstream: Callable[[], JetStreamContext], topology: Topology, *, seconds: int
    ) -> None:
        """:param seconds: how long an answer is kept, at least 1."""
        self._jetstream = jetstream
        self._topology = topology
        self._seconds = seconds
        self._bucket = topology.key_value(BUCKET)
        self._verified = False
        self.max_bytes = self._bucket.max_value_bytes - _ROOM

    async def get(self, key: str) -> bytes | None:
        """``None``: there is none, or none any more.

        :raises TransientError: NATS does not answer.
        :raises TopologyMismatch: the bucket is missing or differs.
        """
        jetstream = await self._ready()
        try:
            found = await jetstream.get_msg(
                self._bucket.stream, subject=self._bucket.subject(key), direct=True
            )
        except nats.js.errors.NotFoundError:
            return None
        except (nats.errors.Error, TimeoutError) as error:
            raise self._failure(error) from error
        return found.data

    async def put(self, key: str, entry: bytes) -> None:
        """Replaces what is there. Raises as :meth:`get` does."""
        jetstream = await self._ready()
        subject = self._bucket.subject(key)
        try:
            await jetstream.publish(subject, entry, stream=self._bucket.stream, msg_ttl=self._seconds)
        except (nats.errors.Error, TimeoutError) as error:
            raise self._failure(error) from error

    async def _ready(self) -> JetStreamContext:
        jetstream = self._jetstream()
        if not self._verified:
            await verify(jetstream, self._topology, (), (BUCKET,))
            self._verified = True
        return jetstream

    def _failure(self, error: Exception) -> TransientError:
        self._verified = False
        return TransientError(f"NATS does not answer: {type(error).__name__}")


class RegistryChanges:
    """The registry's account of changes, in the words of the domain."""

    def __init__(self, registry: Registry) -> None:
        self._changes = registry.changes

    async def look(self, tenant: str, collections: tuple[str, ...], since: Position | None) -> Look:
        """See :class:`rag_gateway.domain.freshness.Changes`."""
        earlier = RegistryPosition(since.database, since.xmin, since.active_space) if since else None
        look = await self._changes.look(tenant, collections, earlier)
        now = look.position
        position = Position(database=now.database, xmin=now.xmin, active_space=now.active_space)
        return Look(position, look.changed)


class CacheMetrics:
    """See :class:`rag_gateway.domain.caching.CacheCounts`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._found = Counter(
            "rag_answers_reused",
            "Questions that an earlier answer stood for: a stored one (hit), or one that was being written"
            " (shared).",
            ["how"],
            registry=registry,
        )
        self._missed = Counter(
            "rag_answer_cache_misses",
            "Questions that no earlier answer stood for, by the reason.",
            ["reason"],
            registry=registry,
        )
        self._bytes = Counter("rag_answer_cache_stored_bytes", "Bytes of stored answers.", registry=registry)
        self._not_stored = Counter(
            "rag_answers_not_stored",
            "Complete answers that were not stored, by the reason.",
            ["reason"],
            registry=registry,
        )

    def hit(self) -> None:
        self._found.labels("hit").inc()

    def followed(self) -> None:
        self._found.labels("shared").inc()

    def missed(self, reason: str) -> None:
        self._missed.labels(reason).inc()

    def stored(self, size: int) -> None:
        self._bytes.inc(size)

    def not_stored(self, reason: str) -> None:
        self._not_stored.labels(reason).inc()
