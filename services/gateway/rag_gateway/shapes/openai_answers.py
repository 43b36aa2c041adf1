"""What clients of OpenAI's protocol get."""

import base64
import struct
import time
from collections.abc import Sequence
from typing import Any, Literal

from rag_common.contracts import AnswerDone, AnswerOpened
from rag_gateway.domain.answers import CollectedAnswer
from rag_gateway.shapes.ask import ending, opening
from rag_gateway.shapes.base import Described

_ELSEWHERE = ("conversation_id", "finish", "usage")
"""Fields of an answer of ``/v1/ask`` that OpenAI's protocol has a place for, or no use."""
Fields = dict[str, Any]


class ChatMessageView(Described):
    role: Literal["assistant"]
    """Who says it."""
    content: str
    """The answer, with markers `[n]`."""
    refusal: None
    """Always null."""


class ChatChoice(Described):
    index: int
    """Always 0: there is one choice."""
    message: ChatMessageView
    """The answer."""
    logprobs: None
    """Always null."""
    finish_reason: Literal["stop", "length"]
    """`length`: the answer was cut at its greatest length."""


class ChatUsage(Described):
    prompt_tokens: int
    """Of what the model has read."""
    completion_tokens: int
    """Of what it has written."""
    total_tokens: int
    """Both together."""


class ChatCompletion(Described):
    """`rag` is an extension: the fields of an answer of `/v1/ask`, citations and passages among them."""

    id: str
    """`chatcmpl-` and the answer's id."""
    object: Literal["chat.completion"]
    """What this is."""
    created: int
    """Unix time, seconds."""
    model: str
    """As the request has it."""
    choices: list[ChatChoice]
    """One."""
    usage: ChatUsage | None
    """Null where the model does not count."""
    rag: dict[str, Any]
    """For instance `answer_id`, `citations`, `passages`, `degraded`."""


class ModelView(Described):
    id: str
    """For `model` of a chat."""
    object: Literal["model"] = "model"
    """What this is."""
    created: int
    """When the collection was created, Unix time in seconds; 0 for `rag`."""
    owned_by: str
    """The caller's tenant."""


class ModelList(Described):
    object: Literal["list"] = "list"
    """What this is."""
    data: list[ModelView]
    """The models, in the order of their collections' names."""


class EmbeddingView(Described):
    object: Literal["embedding"]
    """What this is."""
    index: int
    """Number of the text, from 0."""
    embedding: list[float] | str
    """The vector, in the form that was asked for."""


class EmbeddingsUsage(Described):
    prompt_tokens: int
    """Always 0."""
    total_tokens: int
    """Always 0."""


class EmbeddingList(Described):
    object: Literal["list"]
    """What this is."""
    data: list[EmbeddingView]
    """A vector for each text, in their order."""
    model: str
    """The embedding space."""
    usage: EmbeddingsUsage
    """Always 0: tokens are not counted."""


class Chat:
    """The bodies of one completion, whole or in chunks."""

    def __init__(self, answer_id: str, model: str, *, usage_at_end: bool, language: str) -> None:
        self._answer_id = answer_id
        self._model = model
        self._usage_at_end = usage_at_end
        self._language = language
        self._created = int(time.time())

    def completion(self, collected: CollectedAnswer) -> Fields:
        """The fields of :class:`ChatCompletion`, of a complete answer."""
        if collected.opened is None or collected.done is None:
            raise ValueError("the answer is not complete")
        message = {"role": "assistant", "content": collected.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": collected.done.finish}
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": _usage(collected.opened, collected.done),
            "rag": self._rag(collected, collected.opened, collected.done),
        }

    def first(self) -> Fields:
        """The chunk before the text."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> Fields:
        """A chunk of text."""
        return self._chunk({"content": text})

    def last(self, collected: CollectedAnswer, opened: AnswerOpened, done: AnswerDone) -> list[Fields]:
        """The chunks after the text: why it ends, with citations and passages; then usage, if wanted."""
        end = {**self._chunk({}, done.finish), "rag": self._rag(collected, opened, done)}
        if not self._usage_at_end:
            return [end]
        return [
            end,
            {**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(opened, done)},
        ]

    def _chunk(self, delta: Fields, finish: str | None = None) -> Fields:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._head("chat.completion.chunk"), "choices": [choice]}
        return {**chunk, "usage": None} if self._usage_at_end else chunk

    def _head(self, kind: str) -> Fields:
        return {
            "id": f"chatcmpl-{self._answer_id}",
            "object": kind,
            "created": self._created,
            "model": self._model,
        }

    def _rag(self, collected: CollectedAnswer, opened: AnswerOpened, done: AnswerDone) -> Fields:
        fields = {
            **opening(self._answer_id, None, opened, self._language),
            **ending(self._answer_id, opened, done, self._language),
            "citations": collected.citations,
        }
        return {name: value for name, value in fields.items() if name not in _ELSEWHERE}


def embedding_list(model: str, vectors: Sequence[bytes], encoding: Literal["float", "base64"]) -> Fields:
    """The fields of :class:`EmbeddingList`; the vectors are little-endian float32."""
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector).decode() if encoding == "base64" else _floats(vector),
            }
            for index, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }


def _floats(vector: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


def _usage(opened: AnswerOpened, done: AnswerDone) -> Fields | None:
    if opened.model is None:
        # quotations cost no tokens
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    if done.prompt_tokens is None or done.completion_tokens is None:
        return None
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
    }
