"""Messages in, use case, messages out: translation only."""

import asyncio
import base64
from collections.abc import Awaitable, Callable

import structlog
from faststream.nats import NatsMessage
from pydantic import ValidationError

from rag_common.broker import Handler, Job, Publisher
from rag_common.contracts import (
    EmbedChunks,
    EmbedQuery,
    IndexChunks,
    PassageScores,
    QueryVectors,
    RerankPassages,
)
from rag_common.errors import RagError
from rag_embedder.domain import Embedder, Priority, Reranker, Vectors

_log = structlog.get_logger(__name__)

Answer = Callable[[NatsMessage], Awaitable[bytes]]


def embed_chunks(embedder: Embedder, publisher: Publisher, priority: Priority) -> Handler[EmbedChunks]:
    """The handler of one lane: a batch of chunks becomes a batch of vectors.

    A batch is never divided: the retriever counts batches to know when a document is complete.
    """

    async def handle(message: EmbedChunks, _: Job) -> None:
        texts = [chunk.text for chunk in message.chunks]
        vectors = await embedder.passages(message.space, texts, priority)
        command = IndexChunks(
            document=message.document,
            space=message.space,
            batch=message.batch,
            numbers=tuple(chunk.no for chunk in message.chunks),
            dimension=vectors.shape[1],
            vectors=_base64(vectors),
        )
        await publisher.publish(command, msg_id=_message_id(message))

    return handle


def answer_questions(embedder: Embedder, timeout: float) -> Answer:
    """The handler of requests for vectors of questions, and of sentences that are compared with one. Whatever
    is wrong, the answer says so. Sentences wait for questions, as passages that are reranked do.

    ``timeout`` is in seconds: whoever asked has given up by then, and the texts are dropped.
    """

    async def answer(received: NatsMessage) -> bytes:
        space = ""
        try:
            request = EmbedQuery.decode(received.raw_message.data)
            space = request.space
            async with asyncio.timeout(timeout):
                if request.side == "passage":
                    vectors = await embedder.passages(space, request.texts, Priority.RERANK)
                else:
                    vectors = await embedder.questions(space, request.texts)
        except (ValidationError, RagError, TimeoutError) as error:
            problem = _problem(error, "request for vectors", timeout)
            return QueryVectors(space=space, error=problem).encode()
        return QueryVectors(space=space, dimension=vectors.shape[1], vectors=_base64(vectors)).encode()

    return answer


def answer_reranking(reranker: Reranker, timeout: float) -> Answer:
    """The handler of requests to score passages, in the manner of :func:`answer_questions`."""

    async def answer(received: NatsMessage) -> bytes:
        model = reranker.model
        try:
            request = RerankPassages.decode(received.raw_message.data)
            model = request.model
            async with asyncio.timeout(timeout):
                scores = await reranker.scores(model, request.question, request.texts)
        except (ValidationError, RagError, TimeoutError) as error:
            problem = _problem(error, "request to rerank passages", timeout)
            return PassageScores(model=model, error=problem).encode()
        return PassageScores(model=model, scores=scores).encode()

    return answer


def _problem(error: ValidationError | RagError | TimeoutError, kind: str, timeout: float) -> str:
    problem = _told(error, kind, timeout)
    _log.warning("request_not_answered", request=kind, reason=problem)
    return problem


def _told(error: ValidationError | RagError | TimeoutError, kind: str, timeout: float) -> str:
    if isinstance(error, ValidationError):
        return f"not a {kind}: {error.error_count()} fields are wrong"
    if isinstance(error, RagError):
        return error.message
    return f"the {kind} waited more than {timeout:g} s for the encoder"


def _base64(vectors: Vectors) -> str:
    return base64.b64encode(vectors.astype("<f4", copy=False).tobytes()).decode()


def _message_id(message: EmbedChunks) -> str:
    document = message.document
    return (
        f"{document.tenant}:{document.document_id}:{document.generation}"
        f":index:{message.space}:{message.batch}"
    )
