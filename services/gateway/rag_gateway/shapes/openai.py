"""What clients of OpenAI's protocol send. Fields that the platform has no use for are ignored."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from rag_gateway.shapes.base import Described, Text
from rag_gateway.shapes.search import QuestionText

MAX_MESSAGES = 1000
MAX_EMBEDDED = 2048
"""Texts of one request, as at OpenAI."""
MAX_EMBEDDED_CHARACTERS = 32_768
"""Of one text; a model reads its beginning, as much as it has room for."""
MAX_TOKENS = 8192
_QUESTION: TypeAdapter[str] = TypeAdapter(QuestionText)


def _plain(content: object) -> object:
    """A message's text, whether it comes as a string or in parts."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            raise ValueError("only text is read; images, audio and files are not supported")
        texts.append(part["text"])
    return "\n".join(texts)


class ChatMessage(Described):
    model_config = ConfigDict(frozen=True)

    role: Literal["system", "developer", "user", "assistant"]
    """Who says it."""
    content: Annotated[str, BeforeValidator(_plain)] = ""
    """The text, or a list of parts of type `text`."""


class StreamOptions(Described):
    include_usage: bool | None = None
    """Whether a last chunk has the number of tokens."""


class ChatRequest(Described):
    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "example": {
                "model": "rag:handbook",
                "messages": [{"role": "user", "content": "How many days of leave do I have?"}],
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        },
    )

    model: str
    """`rag`: every collection; `rag:a,b`: these collections."""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    """The last one is the question; earlier ones of the user with their answers make it understood. Those of
    the system and the developer are ignored: the installation's templates say what the model is told."""
    stream: bool | None = None
    """Whether the answer comes in chunks, as server-sent events."""
    stream_options: StreamOptions | None = None
    """Only of a stream."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """An older name of `max_completion_tokens`, which goes before it."""
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    """Length of the answer in tokens of the model; above 8192 it is 8192."""
    n: int | None = None
    """Only 1."""
    tools: list[Any] | None = None
    """Only empty."""
    functions: list[Any] | None = None
    """Only empty."""
    modalities: list[Any] | None = None
    """Only text."""
    response_format: dict[str, Any] | None = None
    """Only of type `text`."""

    @field_validator("messages")
    @classmethod
    def _end_with_a_question(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        said = [message for message in messages if message.role in ("user", "assistant")]
        if not said or said[-1].role != "user":
            raise ValueError("the last message must be the user's")
        try:
            _QUESTION.validate_python(said[-1].content)
        except ValidationError as error:
            raise ValueError(
                "the last message is the question: 1 to 4000 characters, without NUL, not only white space"
            ) from error
        return messages

    @field_validator("n")
    @classmethod
    def _one_answer(cls, n: int | None) -> int | None:
        if n not in (None, 1):
            raise ValueError("there is one answer to a question; leave n out")
        return n

    @field_validator("tools", "functions")
    @classmethod
    def _no_tools(cls, tools: list[Any] | None) -> list[Any] | None:
        if tools:
            raise ValueError("tools are not supported: answers are made of the documents alone")
        return tools

    @field_validator("modalities")
    @classmethod
    def _only_text(cls, modalities: list[Any] | None) -> list[Any] | None:
        if modalities not in (None, [], ["text"]):
            raise ValueError("answers are text; other modalities are not supported")
        return modalities

    @field_validator("response_format")
    @classmethod
    def _no_format(cls, wanted: dict[str, Any] | None) -> dict[str, Any] | None:
        if wanted is not None and wanted.get("type") != "text":
            raise ValueError("answers are text with citations; other formats are not supported")
        return wanted

    @property
    def question(self) -> str:
        """The user's last message."""
        return self._said[-1].content.strip()

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """Earlier questions with their answers, the oldest first; what has no counterpart is left out."""
        question: str | None = None
        answers: list[str] = []
        for message in self._said:
            if message.role == "assistant":
                answers.append(message.content)
                continue
            if question is not None and answers:
                yield question, "\n".join(answers)
            question, answers = message.content, []

    @property
    def answer_tokens(self) -> int | None:
        """How long the answer may be, in tokens of the model; a larger wish than is possible is cut."""
        wanted = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        return None if wanted is None else min(wanted, MAX_TOKENS)

    @property
    def usage_at_end(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def _said(self) -> list[ChatMessage]:
        return [message for message in self.messages if message.role in ("user", "assistant")]


def _texts(given: object) -> object:
    texts = [given] if isinstance(given, str) else given
    if isinstance(texts, list) and any(not isinstance(text, str) for text in texts):
        raise ValueError("send texts: arrays of tokens are not supported, since each model has its own")
    return texts


class EmbeddingsRequest(Described):
    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={"example": {"model": "all-minilm-l6-v2", "input": ["How many days of leave?"]}},
    )

    model: Annotated[Text, Field(max_length=200)]
    """Name of an embedding space."""
    input: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_EMBEDDED_CHARACTERS)]],
        BeforeValidator(_texts),
        Field(min_length=1, max_length=MAX_EMBEDDED),
    ]
    """A text, or a list of them."""
    encoding_format: Literal["float", "base64"] = "float"
    """`base64`: little-endian float32."""
    dimensions: int | None = None
    """Only that of the space."""
    input_type: Literal["question", "passage"] = "question"
    """An extension: whether the texts are looked for or found; many models encode the two differently."""
