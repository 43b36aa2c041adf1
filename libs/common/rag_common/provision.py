"""Create, compare and verify what :mod:`rag_common.topology` describes.

``provision`` is the operator's: it creates and updates. ``verify`` is the services': it only looks.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from enum import Enum

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, ConsumerInfo, StreamConfig

from rag_common.errors import PermanentError, TransientError
from rag_common.server_configs import bucket_config, consumer_config, key_value_config, stream_config
from rag_common.topology import ConsumerSpec, Topology

CURE = "run 'ragp provision'"

_STREAM_FIELDS = (
    "subjects",
    "retention",
    "storage",
    "max_age",
    "duplicate_window",
    "max_msgs",
    "max_bytes",
    "max_msgs_per_subject",
    "max_msg_size",
    "discard",
    "discard_new_per_subject",
    "num_replicas",
    "allow_rollup_hdrs",
    "allow_direct",
    "allow_msg_ttl",
)
_CONSUMER_FIELDS = (
    "filter_subject",
    "filter_subjects",
    "deliver_policy",
    "deliver_subject",
    "ack_policy",
    "ack_wait",
    "max_ack_pending",
    "max_deliver",
    "headers_only",
    "inactive_threshold",
)
# What the server refuses to change on a stream or consumer that exists.
_FIXED_OF_STREAM = frozenset({"storage", "retention"})
_FIXED_OF_CONSUMER = frozenset({"deliver_policy", "deliver_subject", "ack_policy"})


class TopologyMismatch(PermanentError):
    """A stream, consumer or bucket is missing or differs; the message names it and the cure."""

    code = "topology_mismatch"


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference between what is and what should be.

    ``field`` is ``None`` where the whole thing was missing. ``fixed`` says whether it is now as it
    should be: never so in a dry run, nor for what the server refuses to change.
    """

    kind: str
    name: str
    field: str | None = None
    found: object = None
    wanted: object = None
    changeable: bool = True
    fixed: bool = False

    def __str__(self) -> str:
        what = f"{self.kind} {self.name}"
        if self.field is None:
            return f"{what}: missing" + ("; created" if self.fixed else "")
        end = "; changed" if self.fixed else "" if self.changeable else "; cannot be changed, delete it first"
        return f"{what}: {self.field} is {self.found!r} and should be {self.wanted!r}{end}"


async def provision(
    jetstream: JetStreamContext, topology: Topology, *, dry_run: bool = False
) -> tuple[Drift, ...]:
    """Bring NATS to the topology and report what was different; nothing is ever deleted.

    :raises TopologyMismatch: the server refuses a change, for instance three replicas on one node.
    :raises TransientError: JetStream does not answer.
    """
    drifts: list[Drift] = []
    try:
        for wanted in _stream_configs(topology):
            drifts += await _provision_stream(jetstream, wanted, dry_run=dry_run)
        for consumer in topology.consumers:
            drifts += await _provision_consumer(jetstream, consumer, dry_run=dry_run)
    except (nats.errors.Error, TimeoutError) as error:
        raise _failure(error) from error
    return tuple(drifts)


async def verify(
    jetstream: JetStreamContext,
    topology: Topology,
    consumers: Iterable[str],
    key_values: Iterable[str] = (),
) -> None:
    """Check that these consumers with their streams, and key-value buckets, are as provisioned.

    Creates nothing.

    :raises TopologyMismatch: something is missing or differs.
    :raises TransientError: JetStream does not answer.
    """
    specs = [topology.consumer(name) for name in consumers]
    streams = {spec.name: spec for spec in topology.streams}
    problems: list[Drift] = []
    try:
        for name in dict.fromkeys(spec.stream for spec in specs):
            problems += await _compare_stream(jetstream, stream_config(streams[name]))
        for spec in specs:
            problems += await _compare_consumer(jetstream, spec)
        for name in key_values:
            problems += await _compare_stream(jetstream, key_value_config(topology.key_value(name)))
    except (nats.errors.Error, TimeoutError) as error:
        raise _failure(error) from error
    if problems:
        raise TopologyMismatch(f"{'; '.join(map(str, problems))}: {CURE}")


def _failure(error: Exception) -> TopologyMismatch | TransientError:
    unavailable = nats.js.errors.ServiceUnavailableError
    if isinstance(error, nats.js.errors.APIError) and not isinstance(error, unavailable):
        return TopologyMismatch(f"JetStream refuses: {error.description}")
    return TransientError(f"JetStream does not answer: {type(error).__name__}: {error}")


def _stream_configs(topology: Topology) -> Sequence[StreamConfig]:
    return [
        *map(stream_config, topology.streams),
        *map(bucket_config, topology.buckets),
        *map(key_value_config, topology.key_values),
    ]


async def _provision_stream(
    jetstream: JetStreamContext, wanted: StreamConfig, *, dry_run: bool
) -> list[Drift]:
    found = await _stream(jetstream, wanted)
    if found is None:
        if not dry_run:
            await jetstream.add_stream(wanted)
        return [Drift("stream", str(wanted.name), fixed=not dry_run)]
    drifts = _differences("stream", str(wanted.name), found, wanted, _STREAM_FIELDS, _FIXED_OF_STREAM)
    changes = {drift.field: drift.wanted for drift in drifts if drift.field and drift.changeable}
    if changes and not dry_run:
        await jetstream.update_stream(found.evolve(**changes))
        drifts = [replace(drift, fixed=drift.changeable) for drift in drifts]
    return drifts


async def _provision_consumer(
    jetstream: JetStreamContext, spec: ConsumerSpec, *, dry_run: bool
) -> list[Drift]:
    wanted = consumer_config(spec)
    found = await _consumer(jetstream, spec)
    if found is None:
        if not dry_run:
            await jetstream.add_consumer(spec.stream, wanted)
        return [Drift("consumer", spec.name, fixed=not dry_run)]
    drifts = _differences("consumer", spec.name, found, wanted, _CONSUMER_FIELDS, _FIXED_OF_CONSUMER)
    changes = {drift.field: drift.wanted for drift in drifts if drift.field and drift.changeable}
    if changes and not dry_run:
        # Adding a durable consumer that exists changes it.
        await jetstream.add_consumer(spec.stream, found.evolve(**changes))
        drifts = [replace(drift, fixed=drift.changeable) for drift in drifts]
    return drifts


async def _compare_stream(jetstream: JetStreamContext, wanted: StreamConfig) -> list[Drift]:
    found = await _stream(jetstream, wanted)
    if found is None:
        return [Drift("stream", str(wanted.name))]
    return _differences("stream", str(wanted.name), found, wanted, _STREAM_FIELDS, _FIXED_OF_STREAM)


async def _compare_consumer(jetstream: JetStreamContext, spec: ConsumerSpec) -> list[Drift]:
    found = await _consumer(jetstream, spec)
    if found is None:
        return [Drift("consumer", spec.name)]
    wanted = consumer_config(spec)
    return _differences("consumer", spec.name, found, wanted, _CONSUMER_FIELDS, _FIXED_OF_CONSUMER)


async def _stream(jetstream: JetStreamContext, wanted: StreamConfig) -> StreamConfig | None:
    try:
        return (await jetstream.stream_info(str(wanted.name))).config
    except nats.js.errors.NotFoundError:
        return None


async def _consumer(jetstream: JetStreamContext, spec: ConsumerSpec) -> ConsumerConfig | None:
    try:
        info: ConsumerInfo = await jetstream.consumer_info(spec.stream, spec.name)
    except nats.js.errors.NotFoundError:
        return None
    return info.config


def _differences(
    kind: str,
    name: str,
    found: StreamConfig | ConsumerConfig,
    wanted: StreamConfig | ConsumerConfig,
    fields: Sequence[str],
    fixed_fields: Set[str],
) -> list[Drift]:
    return [
        Drift(kind, name, field, was, should, changeable=field not in fixed_fields)
        for field in fields
        if (was := _plain(getattr(found, field))) != (should := _plain(getattr(wanted, field)))
    ]


def _plain(value: object) -> object:
    """The server leaves out what is zero, empty or false, and returns enums as text."""
    if isinstance(value, Enum):
        return value.value
    return sorted(value) if isinstance(value, list) else value or None
