"""What leaves the retriever: passages, as the contract has them."""

from collections.abc import Iterable

from rag_common.contracts import Passage, Source
from rag_retriever.domain.candidates import Candidate
from rag_retriever.domain.expansion import WidePassage


def passage(candidate: Candidate) -> Passage:
    """The found chunk as it is."""
    row = candidate.row
    return Passage(
        document_id=candidate.key.document_id,
        generation=candidate.key.generation,
        collection=row.collection,
        title=row.title,
        source_uri=row.source_uri,
        chunk_no=candidate.key.no,
        **row.place.model_dump(),
        start=row.start,
        end=row.end,
        heading=row.heading,
        text=row.text,
        score=candidate.hit.score,
        ranks=candidate.hit.ranks,
        leg_scores=candidate.hit.leg_scores,
        metadata=row.metadata,
        also_in=_sources(candidate, candidate.copies),
    )


def wide_passage(wide: WidePassage) -> Passage:
    """The found chunk with its neighbours; the sources of all chunks that were found in it."""
    others = [member for found in (wide.found, *wide.also_found) for member in (found, *found.copies)]
    return passage(wide.found).model_copy(
        update={
            **wide.place.model_dump(),
            "start": wide.chunks[0].start,
            "end": wide.chunks[-1].end,
            "text": wide.text,
            "also_in": _sources(wide.found, others),
        }
    )


def _sources(candidate: Candidate, others: Iterable[Candidate]) -> tuple[Source, ...]:
    """The other documents, each once, at the place of its best chunk."""
    best: dict[str, Candidate] = {}
    for other in others:
        if other.key.document_id != candidate.key.document_id:
            best.setdefault(other.key.document_id, other)
    return tuple(
        Source(
            document_id=other.key.document_id,
            collection=other.row.collection,
            title=other.row.title,
            source_uri=other.row.source_uri,
            start=other.row.start,
            end=other.row.end,
            **other.row.place.model_dump(),
        )
        for other in best.values()
    )
