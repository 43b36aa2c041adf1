"""The use case: how well do these texts answer that question?"""

from collections.abc import Sequence

from rag_common.errors import PermanentError
from rag_embedder.domain.batcher import MicroBatcher
from rag_embedder.domain.encoder import Encoder, Priority


class WrongReranker(PermanentError):
    """Scores of another model were asked for; they have another scale."""

    code = "wrong_reranker"


class Reranker:
    """Scores with one cross-encoder, behind the questions and ahead of all passages that are indexed."""

    def __init__(self, model: str, encoder: Encoder, batcher: MicroBatcher) -> None:
        self.model = model
        self._encoder = encoder
        self._batcher = batcher

    async def scores(self, model: str, question: str, texts: Sequence[str]) -> tuple[float, ...]:
        """One score for each text, in their order; higher is better, the scale is the model's.

        :raises WrongReranker: this is another model.
        :raises EncodingFailed: the model cannot read one of the texts.
        :raises Overloaded: too many texts wait already.
        """
        if model != self.model:
            raise WrongReranker(f"this embedder reranks with {self.model!r}, not with {model!r}")
        pairs = [(question, text) for text in texts]
        scores = await self._batcher.encode(self._encoder, pairs, Priority.RERANK)
        return tuple(scores[:, 0].tolist())
