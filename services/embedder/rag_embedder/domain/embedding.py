"""The use case: texts of one space in, vectors out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag_common.errors import TransientError
from rag_common.spaces import Space
from rag_embedder.domain.batcher import MicroBatcher
from rag_embedder.domain.encoder import Encoder, Priority, Vectors

RETRY_SECONDS = 5.0
"""How soon a job of a space that is not served is looked at again."""


class SpaceNotServed(TransientError):
    """Vectors of a model that this process has not loaded, but that another one may have.

    A job is held, not buried: whoever restarts this embedder with the space, or beside another one
    ends it, finds the job still there.
    """

    code = "space_not_served"


@dataclass(frozen=True, slots=True)
class SpaceModel:
    """A space, and the loaded model that makes its vectors."""

    space: Space
    encoder: Encoder


class Embedder:
    """Encodes for the spaces that this process serves, all through one micro-batcher."""

    def __init__(self, models: Sequence[SpaceModel], batcher: MicroBatcher) -> None:
        self._models: Mapping[str, SpaceModel] = {model.space.name: model for model in models}
        self._batcher = batcher

    async def passages(self, space: str, texts: Sequence[str], priority: Priority) -> Vectors:
        """Vectors of chunks, in their order.

        :raises SpaceNotServed: none of this process's models is that of the space.
        :raises EncodingFailed: the model cannot encode one of the texts.
        :raises Overloaded: too many texts wait already.
        """
        model = self._model(space)
        prefixed = [model.space.passage_prefix + text for text in texts]
        return await self._batcher.encode(model.encoder, prefixed, priority)

    async def questions(self, space: str, texts: Sequence[str]) -> Vectors:
        """Vectors of questions, ahead of everything else. Raises like :meth:`passages`."""
        model = self._model(space)
        prefixed = [model.space.query_prefix + text for text in texts]
        return await self._batcher.encode(model.encoder, prefixed, Priority.QUERY)

    def _model(self, space: str) -> SpaceModel:
        if space not in self._models:
            raise SpaceNotServed(
                f"this embedder serves {', '.join(map(repr, sorted(self._models)))}, not the space {space!r};"
                " add it to RAG_SPACES and restart the embedder",
                retry_after=RETRY_SECONDS,
            )
        return self._models[space]
