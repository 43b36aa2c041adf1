"""Writing one batch of vectors, and counting it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from rag_common.contracts import DocumentEvent, IndexChunks, PurgeDocument
from rag_common.errors import BadMessage, PermanentError
from rag_retriever.domain.index import Payload, Point, Vector, VectorIndex, point_id
from rag_retriever.domain.metadata import indexable
from rag_retriever.domain.ports import IndexRegistry, IndexSource, Outbox, Space, Spaces, SparseEncoder

Outcome = Literal["stale", "refused", "pending", "live"]


class WrongSpace(PermanentError):
    """Vectors of another model than the space's."""

    code = "wrong_space"


@dataclass(frozen=True, slots=True)
class IndexBatch:
    """Bring a batch into the index, then let the registry count it.

    Doing it again changes nothing. Whatever the registry does not want any more is taken out again
    before the job ends, since a purge may have run before these points were written.
    """

    index: VectorIndex
    sparse: SparseEncoder
    # the type of a purge plan does not matter here
    registry: IndexRegistry[Any]
    spaces: Spaces
    outbox: Outbox

    async def __call__(self, batch: IndexChunks, run: str) -> Outcome:
        """``run`` names the job: the embedder may have sent the same batch twice.

        :raises WrongSpace: the vectors are not of the space's dimension.
        :raises BadMessage: vectors that are not finite, or chunks that the generation does not have.
        """
        space = await self.spaces.get(batch.space)
        vectors = read_vectors(batch, space)
        await self.index.ensure_space(space.name, space.dimension)
        source = await self.registry.source(batch.document, batch.numbers)
        outcome: Outcome = "stale"
        while source is not None:
            await self.index.upsert(space.name, self._points(batch, space, vectors, source))
            done = await self.registry.complete(batch.document, space.name, batch.batch, source.acl_version)
            if done.outcome == "acl_changed":
                source = await self.registry.source(batch.document, batch.numbers)
                continue
            if done.outcome == "live":
                await self._announce(batch, run, source, done.purge)
            if done.outcome != "refused":
                return done.outcome
            outcome, source = "refused", None
        await self._take_out(batch)
        return outcome

    def _points(self, batch: IndexChunks, space: Space, vectors: Vector, source: IndexSource) -> list[Point]:
        missing = set(batch.numbers) - source.texts.keys()
        if missing:
            raise BadMessage(f"the generation has no chunks {sorted(missing)}")
        document = batch.document
        texts = [source.texts[no] for no in batch.numbers]
        meta = indexable(source.metadata)
        return [
            Point(
                id=point_id(document.document_id, space.name, document.generation, no),
                dense=vector,
                sparse=terms,
                payload=Payload(
                    tenant=document.tenant,
                    collection_id=source.collection_id,
                    document_id=document.document_id,
                    generation=document.generation,
                    no=no,
                    acl=source.acl,
                    meta=meta,
                ),
            )
            for no, vector, terms in zip(
                batch.numbers, vectors, self.sparse.encode_documents(texts, space.languages), strict=True
            )
        ]

    async def _take_out(self, batch: IndexChunks) -> None:
        document = batch.document
        ids = [point_id(document.document_id, batch.space, document.generation, no) for no in batch.numbers]
        await self.index.delete_points(batch.space, ids)

    async def _announce(
        self, batch: IndexChunks, run: str, source: IndexSource, superseded: tuple[int, ...]
    ) -> None:
        document = batch.document
        if superseded:
            purge = PurgeDocument(
                tenant=document.tenant, document_id=document.document_id, generations=superseded
            )
            names = (document.tenant, document.document_id, document.generation, "purge", batch.batch, run)
            msg_id = ":".join(map(str, names))
            await self.outbox.publish(purge, msg_id=msg_id)
        await self.outbox.hint(
            DocumentEvent(
                tenant=document.tenant,
                collection=source.collection,
                source_uri=source.source_uri,
                document_id=document.document_id,
                generation=document.generation,
                outcome="live",
                at=datetime.now(UTC),
            )
        )


def read_vectors(batch: IndexChunks, space: Space) -> Vector:
    """Rows of float32, one per chunk.

    :raises WrongSpace: of another dimension than the space's.
    :raises BadMessage: not all finite.
    """
    if batch.dimension != space.dimension:
        raise WrongSpace(
            f"vectors of dimension {batch.dimension} for the space {space.name!r}, which has"
            f" {space.dimension}: the embedder runs another model"
        )
    rows = np.frombuffer(batch.vector_bytes(), "<f4").reshape(len(batch.numbers), batch.dimension)
    if not np.isfinite(rows).all():
        raise BadMessage("a vector holds a value that is not a finite number")
    return rows.astype(np.float32, copy=False)
