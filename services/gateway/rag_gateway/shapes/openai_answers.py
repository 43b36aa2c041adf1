"""What clients of OpenAI's protocol get."""

import base64
import struct
import time
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel

from rag_common.contracts import AnswerDone, AnswerOpened
from rag_gateway.domain.answers import CollectedAnswer
from rag_gateway.shapes.ask import ending, opening

_ELSEWHERE = ("conversation_id", "finish", "usage")
"""Fields of an answer of ``/v1/ask`` that OpenAI's protocol has a place for, or no use."""
Fields = dict[str, Any]


class ChatMessageView(BaseModel):
    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(BaseModel):
    index: int
    message: ChatMessageView
    logprobs: None
    finish_reason: Literal["stop", "length"]


class ChatUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(BaseModel):
    """`rag` is an extension: the fields of an answer of `/v1/ask`, citations and passages among them."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage | None
    """Null where the model does not count."""
    rag: dict[str, Any]


class ModelView(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelView]


class EmbeddingView(BaseModel):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    object: Literal["list"]
    data: list[EmbeddingView]
    model: str
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
