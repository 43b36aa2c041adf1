"""Questions, and what a client sees of their answers."""

from typing import Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from rag_common.contracts import (
    Adapter,
    AnswerDone,
    AnswerOpened,
    AnswerOptions,
    Citation,
    Passage,
    SearchMode,
    SentenceGrounding,
    Turn,
)
from rag_common.i18n import translate
from rag_gateway.domain.answers import Ask, CollectedAnswer
from rag_gateway.identity import Caller
from rag_gateway.shapes.base import Described
from rag_gateway.shapes.search import EXAMPLE_PASSAGES, QuestionText, Retrieval

_EXAMPLE_PASSAGE: dict[str, Any] = EXAMPLE_PASSAGES["passages"][0]
_OF_A_CITATION = (
    *("document_id", "generation", "collection", "title", "source_uri", "page", "slide", "sheet", "rows"),
)


class AskRequest(Retrieval):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"question": "How many days of leave do I have?", "collections": ["handbook"]}
        }
    )

    question: QuestionText
    """What is asked."""
    limit: int = Field(10, ge=1, le=50)
    """Passages that are searched; those that the answer is made of are chosen among them."""
    conversation_id: UUID | None = None
    """A conversation of this caller: earlier questions and answers make this one understood."""
    max_tokens: int | None = Field(None, ge=1, le=8192)
    """Length of the answer in tokens of the model; left out: as the generator is set up."""
    grounding: bool = False
    """Whether each sentence is compared with the passages that it cites."""
    cache: bool = True
    """Whether an answer that was given before will do."""
    stream: bool = False
    """Whether the answer comes as server-sent events; so does one to `Accept: text/event-stream`."""

    def to_ask(self, caller: Caller, history: tuple[Turn, ...], timeout: float) -> Ask:
        """The question of this caller, after the turns before it."""
        return Ask(
            tenant=caller.tenant,
            principals=caller.principals,
            question=self.question,
            timeout=timeout,
            collections=self.collections,
            mode=self.mode,
            limit=self.limit,
            filter=self.filter,
            expand=self.expand,
            diversity=self.diversity,
            rerank=self.rerank,
            space=self.space,
            cache=self.cache,
            options=AnswerOptions(history=history, max_tokens=self.max_tokens, grounding=self.grounding),
        )


class NumberedPassage(Passage):
    n: int
    """What a marker `[n]` of the answer refers to."""


class Usage(Described):
    prompt_tokens: int | None
    """Of what the model has read; null where it does not count."""
    completion_tokens: int | None
    """Of what it has written; null where it does not count."""


class AskAnswer(Described):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "answer_id": "0d6d2c1e-3f64-4f0a-9a39-7c0b5f6f2a10",
                "conversation_id": None,
                "question": "How many days of leave do I have?",
                "standalone_question": "How many days of leave do I have?",
                "answered": True,
                "answer": "Everyone has 28 days of leave a year [1].",
                "citations": [
                    {
                        "n": 1,
                        **{name: _EXAMPLE_PASSAGE[name] for name in _OF_A_CITATION},
                        "start": 1804,
                        "end": 1841,
                        "quote": "Everyone has 28 days of leave a year.",
                    }
                ],
                "passages": [{"n": 1, **_EXAMPLE_PASSAGE}],
                "grounding": None,
                "adapter": "ollama",
                "model": "qwen2.5:3b",
                "prompt_version": "1",
                "mode": "hybrid",
                "space": "all-minilm-l6-v2",
                "degraded": False,
                "reason": None,
                "cached": False,
                "finish": "stop",
                "usage": {"prompt_tokens": 812, "completion_tokens": 14},
                "timings_ms": {"first_token": 310.2, "generation": 702.9, "total": 1041.0},
            }
        }
    )

    answer_id: UUID
    """For feedback."""
    conversation_id: UUID | None
    """The conversation that it belongs to; null: none."""
    question: str
    """As it was asked."""
    standalone_question: str
    """As it was searched: a follow-up is made understandable by itself."""
    answered: bool
    """Whether the documents hold an answer; where they do not, `answer` says so."""
    answer: str
    """With markers `[n]`, each of which is one of the citations."""
    citations: list[Citation]
    """What the markers refer to, in the order in which they appear first."""
    passages: list[NumberedPassage]
    """Those that the answer is made of."""
    grounding: list[SentenceGrounding] | None
    """How well each sentence is supported; null unless it was asked for."""
    adapter: Adapter
    """Who has written the answer; `extractive`: it consists of quotations."""
    model: str | None
    """The language model; null where the answer consists of quotations."""
    prompt_version: str
    """Of the templates and rules that prompts are made by."""
    mode: SearchMode
    """The mode that was really used in the search."""
    space: str | None
    """The embedding space that was searched; null: words alone."""
    degraded: bool
    """Whether something was missing that could have made it better."""
    reason: str | None
    """Why the answer is degraded."""
    cached: bool
    """Whether the answer was given before."""
    finish: Literal["stop", "length"]
    """`length`: the answer was cut at its greatest length."""
    usage: Usage | None
    """Tokens of the model; null where nobody counts them."""
    timings_ms: dict[str, float]
    """Milliseconds per stage, and the whole way in ``total``."""


def answer_body(
    question: str, answer_id: str, conversation_id: str | None, collected: CollectedAnswer, language: str
) -> dict[str, Any]:
    """The fields of :class:`AskAnswer`, of a complete answer."""
    assert collected.opened is not None and collected.done is not None  # noqa: S101, PT018 - the caller's promise
    fields = {
        **opening(answer_id, conversation_id, collected.opened, language),
        **ending(answer_id, collected.opened, collected.done, language),
        "question": question,
        "answer": collected.text,
        "citations": collected.citations,
    }
    return {name: fields[name] for name in AskAnswer.model_fields}


def opening(
    answer_id: str, conversation_id: str | None, opened: AnswerOpened, language: str
) -> dict[str, Any]:
    """What is known before the first token."""
    return {
        "answer_id": answer_id,
        "conversation_id": conversation_id,
        "standalone_question": opened.standalone,
        "passages": [
            {"n": number, **passage.model_dump()} for number, passage in enumerate(opened.passages, 1)
        ],
        "adapter": opened.adapter,
        "model": opened.model,
        "prompt_version": opened.prompt_version,
        "mode": opened.mode,
        "space": opened.space,
        "cached": opened.cached,
        **_degraded(opened, language),
    }


def ending(answer_id: str, opened: AnswerOpened, done: AnswerDone, language: str) -> dict[str, Any]:
    """What is known when the answer is complete."""
    counted = done.prompt_tokens is not None or done.completion_tokens is not None
    return {
        "answer_id": answer_id,
        "answered": done.answered,
        "finish": done.finish,
        "grounding": done.grounding,
        "usage": Usage(prompt_tokens=done.prompt_tokens, completion_tokens=done.completion_tokens)
        if counted
        else None,
        "timings_ms": done.timings_ms,
        **_degraded(opened, language),
    }


def _degraded(opened: AnswerOpened, language: str) -> dict[str, Any]:
    reason = translate(opened.reason, language) if opened.reason else None
    return {"degraded": opened.degraded, "reason": reason}
