"""Messages of answering: retriever → generator → gateway, and what the three ask each other."""

from typing import ClassVar, Literal

from pydantic import Field

from rag_common.contracts.base import Message, Place, Value
from rag_common.contracts.search import Passage, PassagesFound, SearchMode
from rag_common.contracts.turns import MAX_TURNS, AnswerOptions, Question, Turn

Adapter = Literal["ollama", "openai", "extractive"]
"""Who writes the answers: a model behind one of two protocols, or nobody: sentences are quoted."""


class GenerateAnswer(Message):
    """Command: answer a question from passages, to ``reply_to``.

    Every passage has passed the check of the caller's access; nothing else may reach a prompt.
    """

    subject: ClassVar[str] = "query.generate"
    stream: ClassVar[str | None] = "QUERY"

    query_id: str
    reply_to: str
    deadline: float
    """Unix time, seconds; a question past it is dropped."""
    attempt: int = Field(default=1, ge=1)
    """Which delivery of the :class:`RetrievePassages` this comes from."""
    question: Question
    """As it was asked."""
    standalone: Question
    """As it was searched: of a follow-up, rewritten so that it is understood by itself."""
    found: PassagesFound
    options: AnswerOptions = AnswerOptions()


class Citation(Place):
    """What a marker ``[n]`` of an answer refers to: a sentence of passage ``n``, from 1."""

    n: int = Field(ge=1)
    """The number in the marker."""
    document_id: str
    """Id of the document that is quoted."""
    generation: int
    """The version of the document."""
    collection: str
    """The collection of the document."""
    title: str
    """Title of the document."""
    source_uri: str
    """Identity of the document within its collection."""
    start: int
    """Offsets of the quote in the document's extracted text, in Unicode code points; ``end`` is exclusive."""
    end: int
    """The offset after the quote's last character."""
    quote: str
    """The sentence, as the document has it."""


class SentenceGrounding(Value):
    """How well a sentence of an answer is supported."""

    text: str
    """The sentence."""
    score: float | None
    """Cosine of the sentence and the nearest sentence of the passages that it cites, or of any passage
    where it cites none; ``None``: the model of the space does not read it."""


class AnswerOpened(Message):
    """Request to the gateway before the first token; answered by :class:`AnswerWanted`.

    A higher ``attempt`` starts the text of the answer anew.
    """

    subject: ClassVar[str] = "reply.{gateway}.{query}"

    kind: Literal["opened"] = "opened"
    query_id: str
    attempt: int = Field(ge=1)
    standalone: str
    passages: tuple[Passage, ...]
    """Those that the answer is made of; passage ``n`` of a citation is the one at ``n - 1``."""
    mode: SearchMode
    space: str | None = None
    adapter: Adapter
    model: str | None = None
    """``None``: the answer consists of quotations."""
    prompt_version: str
    degraded: bool = False
    reason: str | None = None
    cached: bool = False
    """Set by the gateway, for an answer that was given before."""


class AnswerDelta(Message):
    """The next piece of an answer."""

    subject: ClassVar[str] = "reply.{gateway}.{query}"

    kind: Literal["delta"] = "delta"
    query_id: str
    attempt: int = Field(ge=1)
    sequence: int = Field(ge=1)
    """Counts the deltas and the end of one attempt, from 1."""
    text: str
    citations: tuple[Citation, ...] = ()
    """Of markers that appear in this piece for the first time."""


class AnswerDone(Message):
    """The end of an answer."""

    subject: ClassVar[str] = "reply.{gateway}.{query}"

    kind: Literal["done"] = "done"
    query_id: str
    attempt: int = Field(ge=1)
    sequence: int = Field(ge=1)
    answered: bool
    """``False``: nothing relevant was found, and the text says so; no model was asked."""
    finish: Literal["stop", "length"] = "stop"
    """``length``: the answer was cut at its greatest length."""
    grounding: tuple[SentenceGrounding, ...] | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    timings_ms: dict[str, float] = Field(default_factory=dict)
    """Milliseconds: of the search, and ``queue``, ``first_token``, ``generation``."""


class AnswerWanted(Message):
    """Reply to :class:`AnswerOpened`, or to what follows if it was sent as a request: whether to go on."""

    subject: ClassVar[str] = "reply.{gateway}.{query}"

    wanted: bool


class CancelQuery(Message):
    """Nobody waits for the answer any more."""

    subject: ClassVar[str] = "cancel.{query}"

    query_id: str


class RewriteQuestion(Message):
    """Request (core NATS): make a follow-up understandable without the conversation before it."""

    subject: ClassVar[str] = "rewrite.question"

    query_id: str
    """The query that it is for, and that it is cancelled with."""
    deadline: float
    """Unix time, seconds, at which whoever asks does without."""
    question: Question
    history: tuple[Turn, ...] = Field(min_length=1, max_length=MAX_TURNS)


class QuestionRewritten(Message):
    """Reply to :class:`RewriteQuestion`: the question, or an ``error``, such as that there is no model."""

    subject: ClassVar[str] = "rewrite.question"

    question: str | None = None
    error: str | None = None


class DescribeGenerator(Message):
    """Request (core NATS): who writes the answers."""

    subject: ClassVar[str] = "generator.describe"


class GeneratorDescription(Message):
    """Reply to :class:`DescribeGenerator`. Answers of two generators with the same ``adapter``, ``model`` and
    ``prompt_version`` may stand for each other."""

    subject: ClassVar[str] = "generator.describe"

    adapter: Adapter
    model: str | None = None
    prompt_version: str
    models: tuple[str, ...] = ()
    """What the endpoint could use."""
    reason: str | None = None
    """Why it is not the adapter or the model that was configured."""
