"""Encoding a question for the legs that take part."""

from dataclasses import dataclass

from rag_common.contracts import RetrievePassages, SearchMode
from rag_common.errors import PermanentError
from rag_retriever.domain.index import SparseVector, Vector
from rag_retriever.domain.legs import choose_legs
from rag_retriever.domain.ports import DenseEncoder, EncoderUnavailable, Space, Spaces, SparseEncoder


class EmbedderNeeded(PermanentError):
    """A dense search while no embedder answers."""

    code = "embedder_unavailable"


@dataclass(frozen=True, slots=True)
class EncodedQuestion:
    """A question in one space, for the legs that take part. ``reason``: why it is degraded."""

    space: Space
    dense: Vector | None
    sparse: SparseVector | None
    reason: str | None = None

    @property
    def mode(self) -> SearchMode:
        if self.dense is None:
            return "sparse"
        return "dense" if self.sparse is None else "hybrid"


@dataclass(frozen=True, slots=True)
class QuestionEncoder:
    """Encodes in the space that the query names, or else in the active one."""

    spaces: Spaces
    sparse: SparseEncoder
    dense: DenseEncoder

    async def __call__(self, query: RetrievePassages) -> EncodedQuestion:
        """:raises EmbedderNeeded: ``mode`` is ``dense`` and no embedder answers; ``hybrid`` falls back on
            the sparse leg and says so.
        :raises PermanentError: there is no such space.
        """
        space = await (self.spaces.active() if query.space is None else self.spaces.get(query.space))
        terms = self.sparse.encode_query(query.question, space.languages)
        legs = choose_legs(query.mode, query.question, space.languages, has_terms=len(terms) > 0)
        if "dense" not in legs:
            return EncodedQuestion(space, None, terms)
        try:
            vector = await self._vector(space, query.question)
        except EncoderUnavailable as error:
            if query.mode == "dense":
                raise EmbedderNeeded(f"a dense search needs the embedder: {error.message}") from error
            return EncodedQuestion(space, None, terms, f"only lexical search: {error.message}")
        return EncodedQuestion(space, vector, terms if "sparse" in legs else None)

    async def _vector(self, space: Space, question: str) -> Vector:
        vector = await self.dense((space.name, question))
        if len(vector) != space.dimension:
            raise EncoderUnavailable(
                f"the embedder made a vector of dimension {len(vector)} for the space {space.name!r},"
                f" which has {space.dimension}"
            )
        return vector
