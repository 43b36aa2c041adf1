"""The use case: texts of one space in, vectors out."""

from collections.abc import Sequence

from rag_common.errors import PermanentError
from rag_embedder.domain.batcher import MicroBatcher
from rag_embedder.domain.encoder import Priority, Vectors
from rag_embedder.domain.space import Space


class SpaceMismatch(PermanentError):
    """Vectors of another model were asked for; they could not be compared with this one's."""

    code = "space_mismatch"


class Embedder:
    """Encodes for one space, and refuses all others."""

    def __init__(self, space: Space, batcher: MicroBatcher) -> None:
        self.space = space
        self._batcher = batcher

    async def passages(self, space: str, texts: Sequence[str], priority: Priority) -> Vectors:
        """Vectors of chunks, in their order.

        :raises SpaceMismatch: this is the embedder of another space.
        :raises EncodingFailed: the model cannot encode one of the texts.
        :raises Overloaded: too many texts wait already.
        """
        return await self._encode(space, self.space.passage_prefix, texts, priority)

    async def questions(self, space: str, texts: Sequence[str]) -> Vectors:
        """Vectors of questions, ahead of all passages. Raises like :meth:`passages`."""
        return await self._encode(space, self.space.query_prefix, texts, Priority.QUERY)

    async def _encode(self, space: str, prefix: str, texts: Sequence[str], priority: Priority) -> Vectors:
        if space != self.space.name:
            raise SpaceMismatch(
                f"this embedder serves the space {self.space.name!r} ({self.space.model}); "
                f"vectors for {space!r} need an embedder of that space"
            )
        return await self._batcher.encode([prefix + text for text in texts], priority)
