"""Messages in, use case, messages out: translation only."""

import asyncio
import base64
from collections.abc import Awaitable, Callable

import structlog
from faststream.nats import NatsMessage
from pydantic import ValidationError

from rag_common.broker import Handler, Job, Publisher
from rag_common.contracts import EmbedChunks, EmbedQuery, IndexChunks, QueryVectors
from rag_common.errors import RagError
from rag_embedder.domain import Embedder, Priority, Vectors

_log = structlog.get_logger(__name__)


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


def answer_questions(embedder: Embedder, timeout: float) -> Callable[[NatsMessage], Awaitable[bytes]]:
    """The handler of requests for question vectors. Whatever is wrong, the answer says so.

    ``timeout`` is in seconds: whoever asked has given up by then, and the texts are dropped.
    """

    async def answer(received: NatsMessage) -> bytes:
        space = embedder.space.name
        try:
            request = EmbedQuery.decode(received.raw_message.data)
            space = request.space
            async with asyncio.timeout(timeout):
                vectors = await embedder.questions(space, request.texts)
        except ValidationError as error:
            problem = f"not a request for question vectors: {error.error_count()} fields are wrong"
        except RagError as error:
            problem = error.message
        except TimeoutError:
            problem = f"the questions waited more than {timeout:g} s for the encoder"
        else:
            return QueryVectors(space=space, dimension=vectors.shape[1], vectors=_base64(vectors)).encode()
        _log.warning("questions_not_encoded", reason=problem)
        return QueryVectors(space=space, error=problem).encode()

    return answer


def _base64(vectors: Vectors) -> str:
    return base64.b64encode(vectors.astype("<f4", copy=False).tobytes()).decode()


def _message_id(message: EmbedChunks) -> str:
    document = message.document
    return (
        f"{document.tenant}:{document.document_id}:{document.generation}"
        f":index:{message.space}:{message.batch}"
    )
