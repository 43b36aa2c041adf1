"""Messages in: dead letters."""

from rag_common.broker import Handler, Job
from rag_common.contracts import DeadLetter, IndexChunks
from rag_common.topology import Topology
from rag_gateway.domain.dead_letters import BuryDocuments, Origin
from rag_gateway.metrics import GatewayMetrics


def dead_letter_handler(
    bury: BuryDocuments, topology: Topology, metrics: GatewayMetrics
) -> Handler[DeadLetter]:
    """The handler of the consumer ``dead-letters``.

    It acks what it has read: the letters stay in their stream for 30 days.
    """

    async def handle(letter: DeadLetter, _: Job) -> None:
        failed = await bury(letter, origin_of(letter, topology))
        metrics.dead_letters.labels(letter.stage, letter.code, "failed" if failed else "none").inc()

    return handle


def origin_of(letter: DeadLetter, topology: Topology) -> Origin:
    """What the subject of the dead job tells."""
    subject = letter.original_subject
    upsert = subject == topology.subject(IndexChunks)
    return Origin(topology.fields(subject).get("tenant"), fails_document=letter.stage != "index" or upsert)
