"""An answer without a language model: the sentences of the passages that answer best, word for word."""

import asyncio
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from rag_common.contracts import Citation, Passage
from rag_common.languages import reads
from rag_common.spaces import CATALOGUE
from rag_generator.domain.citing import without_markers
from rag_generator.domain.ports import EncoderUnavailable, SentenceEncoder
from rag_generator.domain.quotes import Span, citation, sentence_spans, stems
from rag_generator.domain.selection import in_reading_order

MAX_QUOTES = 3
CONSIDERED = 10
"""Passages, the most relevant first, that sentences are taken from."""
ENCODED = 12
"""Sentences that are compared by vectors: those that come first without. One takes about a millisecond."""
PATIENCE = 0.5
"""Seconds. Vectors are worth .005 of XQuAD's English questions, and no longer a wait."""
MAX_SENTENCES = 500
"""Sentences that are looked at: those of the first passages."""
FIRST_PASSAGE = 0.4
"""What it is worth to stand in the best passage, where all words of the question together are worth 1; in the
second passage it is a half of this, and so on. Share of the questions of XQuAD whose answer is quoted, with
0.4, 0.25 and 0.15: English .944, .940, .938; Russian .890, .880, .862."""
NEAREST = 0.5
"""What it is worth to be the nearest of the encoded sentences; the furthest one gets nothing."""
WORTH_QUOTING = 0.5
"""Share of the best sentence's score; what has less is left out. On XQuAD that is one quote of four or five,
and costs .002 to .004 of the questions."""

_ANNOUNCES = re.compile(r"\A#{1,6} |[?？][\"'»”’)*_]*\Z")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class QuotedAnswer:
    """``text`` is a quote a line, each followed by the marker ``[n]`` of its passage, ``passages[n - 1]``,
    with a citation in the same position, which has it verbatim. Empty where the passages have no sentence."""

    text: str
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]


@dataclass(slots=True)
class _Sentence:
    passage: Passage
    span: Span
    rank: int
    """Of its passage, from 1."""
    stems: frozenset[str]
    score: float = 0.0

    @property
    def text(self) -> str:
        return self.passage.text[self.span.start : self.span.end]


class Extractor:
    """Quotes by words, and by vectors where the space's model reads the question and an embedder answers."""

    def __init__(self, encode: SentenceEncoder, patience: float = PATIENCE) -> None:
        """``patience``: seconds for which the vectors are waited for."""
        self._encode = encode
        self._patience = patience

    async def __call__(self, question: str, passages: Sequence[Passage], space: str | None) -> QuotedAnswer:
        """At most :data:`MAX_QUOTES` sentences of ``passages``, of which the most relevant comes first."""
        sentences = _sentences(passages)
        _score_by_words(question, sentences)
        best = _best_first(sentences)[:ENCODED]
        await self._score_by_vectors(question, best, space)
        return _answer(_worth_quoting(_best_first(best)), in_reading_order(passages))

    async def _score_by_vectors(self, question: str, sentences: list[_Sentence], space: str | None) -> None:
        known = CATALOGUE.get(space or "")
        if known is None or len(sentences) <= 1 or not reads(known.languages, question):
            return
        try:
            async with asyncio.timeout(self._patience):
                vectors = await self._encode(
                    known.name, [question, *(sentence.text for sentence in sentences)]
                )
        except (EncoderUnavailable, TimeoutError) as error:
            reason = error.message if isinstance(error, EncoderUnavailable) else "the embedder is slow"
            _log.warning("quoted_without_vectors", reason=reason)
            return
        cosines = vectors[1:] @ vectors[0]
        low, high = float(np.min(cosines)), float(np.max(cosines))
        for sentence, cosine in zip(sentences, cosines.tolist(), strict=True):
            sentence.score += NEAREST * (cosine - low) / (high - low) if high > low else 0.0


def _sentences(passages: Sequence[Passage]) -> list[_Sentence]:
    """No sentence twice, also where passages repeat each other."""
    found: dict[str, _Sentence] = {}
    for rank, passage in enumerate(passages[:CONSIDERED], 1):
        for sentence in _statements(passage, rank):
            found.setdefault(sentence.text, sentence)
            if len(found) == MAX_SENTENCES:
                return list(found.values())
    return list(found.values())


def _statements(passage: Passage, rank: int) -> Iterator[_Sentence]:
    """All but headings and questions. Their words count for what follows them: that is the answer."""
    announced: frozenset[str] = frozenset()
    for span in sentence_spans(passage.text):
        text = passage.text[span.start : span.end]
        if _ANNOUNCES.search(text):
            announced |= stems(text)
        else:
            yield _Sentence(passage, span, rank, stems(text) | announced)
            announced = frozenset()


def _score_by_words(question: str, sentences: Sequence[_Sentence]) -> None:
    """The share of the question's words that a sentence holds, among those that any of them holds; a word
    that few sentences hold weighs more."""
    wanted = stems(question)
    holders = Counter(stem for sentence in sentences for stem in wanted & sentence.stems)
    weights = {stem: math.log(1 + (len(sentences) + 1) / (count + 0.5)) for stem, count in holders.items()}
    total = math.fsum(weights.values()) or 1.0
    for sentence in sentences:
        held = math.fsum(weights[stem] for stem in wanted & sentence.stems)
        sentence.score = held / total + FIRST_PASSAGE / sentence.rank


def _best_first(sentences: Sequence[_Sentence]) -> list[_Sentence]:
    return sorted(sentences, key=lambda sentence: (-sentence.score, sentence.rank, sentence.span.start))


def _worth_quoting(sentences: Sequence[_Sentence]) -> list[_Sentence]:
    return [
        sentence
        for sentence in sentences[:MAX_QUOTES]
        if sentence.score >= WORTH_QUOTING * sentences[0].score
    ]


def _answer(quotes: Sequence[_Sentence], passages: tuple[Passage, ...]) -> QuotedAnswer:
    numbers = {id(passage): n for n, passage in enumerate(passages, 1)}
    citations = sorted(
        (citation(numbers[id(q.passage)], q.passage, q.span.start, q.span.end) for q in quotes),
        key=lambda cited: (cited.n, cited.start),
    )
    text = "\n".join(f"{_line(cited.quote)} [{cited.n}]" for cited in citations)
    return QuotedAnswer(text, tuple(citations), passages)


def _line(quote: str) -> str:
    """As it is read: in one line, without markers of the document's own, which lead elsewhere."""
    return " ".join(without_markers(quote).split())
