"""Jobs in, use case: translation only."""

from rag_common.broker import Handler, Job
from rag_common.contracts import DocumentRef, IngestDocument, Lane
from rag_common.errors import BadMessage
from rag_ingest.domain.ingest import Ingest
from rag_ingest.domain.ports import Delivery


def ingest_handler(ingest: Ingest, lane: Lane) -> Handler[IngestDocument]:
    """The handler of one lane's consumer."""

    async def handle(message: IngestDocument, job: Job) -> None:
        await ingest.run(message, delivery_of(job, lane))

    return handle


def delivery_of(job: Job, lane: Lane) -> Delivery:
    """The facts that the use case needs; what it claims becomes the job's document.

    :raises BadMessage: the subject names no tenant.
    """

    def claim(document: DocumentRef | None) -> None:
        job.document = document

    if job.tenant is None:
        raise BadMessage(f"the subject {job.subject} names no tenant")
    return Delivery(job.tenant, lane, job.time_ns, job.sequence, job.attempt, claim)
