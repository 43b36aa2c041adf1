"""How well each sentence of an answer is supported by what it cites."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from rag_common.contracts import Citation, Passage, SentenceGrounding
from rag_common.languages import reads
from rag_common.spaces import CATALOGUE
from rag_generator.domain.ports import EncoderUnavailable, SentenceEncoder
from rag_generator.domain.quotes import Span, sentence_spans, stems

MAX_SENTENCES = 200
"""Sentences of passages that are encoded at most; of more, those that share most words with the answer."""
_MARKER = re.compile(r"\s?\[(\d{1,3})\]")
_LEADING = re.compile(r"(?:\[\d{1,3}\])+[.,;:!?…]*\s*")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Support:
    """A sentence of passage ``n``."""

    n: int
    text: str


async def ground(
    text: str,
    citations: Sequence[Citation],
    passages: Sequence[Passage],
    encode: SentenceEncoder,
    space: str | None,
) -> tuple[SentenceGrounding, ...] | None:
    """The sentences of an answer that have words, in order; each ``text`` is as it stands in the answer.

    A score is the cosine with the nearest sentence of the passages that the sentence cites, or of any passage
    where it cites none. It is ``None`` where the space's model does not read the sentence, or none of those
    it could be compared with; a model that is not in the catalogue is taken to read nothing, for nobody here
    knows what it reads. All of it is ``None`` where nothing was searched by vectors, or no embedder answers.
    """
    if space is None:
        return None
    languages = CATALOGUE[space].languages if space in CATALOGUE else ()
    sentences = [sentence for sentence in answer_sentences(text) if _words(sentence)]
    readable = [sentence for sentence in sentences if reads(languages, _words(sentence))]
    known = {citation.n for citation in citations}
    # beside the loop: with long passages it takes a while
    supports = await asyncio.to_thread(_supports, passages, languages, stems(text)) if readable else []
    if not supports:
        return tuple(SentenceGrounding(text=sentence, score=None) for sentence in sentences)
    try:
        vectors = await encode(space, [*map(_words, readable), *(support.text for support in supports)])
    except EncoderUnavailable as error:
        _log.warning("answer_not_grounded", reason=error.message)
        return None
    cosines = vectors[: len(readable)] @ vectors[len(readable) :].T
    numbers = np.array([support.n for support in supports])
    scores = {
        sentence: _score(row, numbers, cited_by(sentence) & known)
        for sentence, row in zip(readable, cosines, strict=True)
    }
    return tuple(SentenceGrounding(text=sentence, score=scores.get(sentence)) for sentence in sentences)


def answer_sentences(text: str) -> list[str]:
    """Sentences with the markers behind them: of ``A. [1] B.`` the first one is ``A. [1]``."""
    spans: list[Span] = []
    for span in sentence_spans(text):
        leading = _LEADING.match(text, span.start, span.end)
        before = spans[-1] if spans else None
        if leading and before and _belongs(text, before, span):
            end = span.start + len(leading.group().rstrip())
            spans[-1] = Span(before.start, end)
            span = Span(leading.end(), span.end)
        if span.start < span.end:
            spans.append(span)
    return [text[span.start : span.end] for span in spans]


def cited_by(sentence: str) -> set[int]:
    """The numbers of its markers."""
    return {int(number) for number in _MARKER.findall(sentence)}


def _belongs(text: str, before: Span, span: Span) -> bool:
    """Whether a marker in front of a sentence is that of the one before, on the same line and without any."""
    return "\n" not in text[before.end : span.start] and not cited_by(text[before.start : before.end])


def _words(sentence: str) -> str:
    """Without markers; empty if there is no letter in it."""
    text = _MARKER.sub("", sentence).strip()
    return text if any(map(str.isalpha, text)) else ""


def _supports(
    passages: Sequence[Passage], languages: tuple[str, ...], wanted: frozenset[str]
) -> list[_Support]:
    supports = [support for support in _all_sentences(passages) if reads(languages, support.text)]
    if len(supports) <= MAX_SENTENCES:
        return supports
    return sorted(supports, key=lambda support: -len(wanted & stems(support.text)))[:MAX_SENTENCES]


def _all_sentences(passages: Sequence[Passage]) -> Iterator[_Support]:
    for n, passage in enumerate(passages, 1):
        for span in sentence_spans(passage.text):
            yield _Support(n, passage.text[span.start : span.end])


def _score(row: np.ndarray, numbers: np.ndarray, cited: set[int]) -> float | None:
    among = row[np.isin(numbers, sorted(cited))] if cited else row
    return round(float(among.max()), 4) if among.size else None
