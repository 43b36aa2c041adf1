"""Sentences of a passage, and the one that supports a claim best."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rag_common.contracts import Citation, Passage, Place
from rag_common.sentences import sentence_ends

MAX_QUOTE = 600
"""Characters; of a longer sentence (a table's row, text without full stops) the beginning is quoted."""
STEM = 6
SHORTEST = 4
"""Letters, as in the retriever: a stemmer for any language that inflects at the end."""
_WORD = re.compile(rf"\w{{{SHORTEST},}}|\d+")
# A paragraph, an item of a list, a row of a table and a heading are no part of the sentence before them.
# The cells of a spreadsheet's row stand between tabs.
_BREAK = re.compile(r"\n(?=[ \t]*(?:\n|[-*+•·–—▪◦#|]|\(?\d{1,3}[.)]\s)|[^\n\t]*\t)|(?<=\|)\n")
_HEADING = re.compile(r"#{1,6} [^\n]*\n")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text, without white space around it; ``end`` is exclusive."""

    start: int
    end: int


def sentence_spans(text: str) -> list[Span]:
    """The sentences of a text in order, of at most :data:`MAX_QUOTE` characters each. None is empty."""
    spans = (_trimmed(text, start, end) for start, end in _pieces(text))
    return [_shortened(text, span) for span in spans if span.start < span.end]


def stems(text: str) -> frozenset[str]:
    """Words regardless of their endings, and numbers."""
    return frozenset(word[:STEM] for word in _WORD.findall(text.casefold().replace("ё", "е")))


def last_sentence(text: str) -> str:
    """What a marker behind this text stands for; empty if there is no text."""
    spans = sentence_spans(text)
    return text[spans[-1].start : spans[-1].end] if spans else ""


class Quotable:
    """The sentences of one passage, with their stems."""

    def __init__(self, text: str) -> None:
        self._spans = sentence_spans(text) or [Span(0, len(text))]
        self._stems = [stems(text[span.start : span.end]) for span in self._spans]

    def best(self, claim: frozenset[str]) -> Span:
        """The sentence that shares most stems with the claim; of equals the shorter one, then the first.

        Where nothing is shared, as between languages, it is the first sentence.
        """
        shared = [len(claim & known) for known in self._stems]
        most = max(shared)
        if most == 0:
            return self._spans[0]
        equals = (no for no, count in enumerate(shared) if count == most)
        return self._spans[min(equals, key=lambda no: (len(self._stems[no]), no))]


def citation(n: int, passage: Passage, start: int, end: int) -> Citation:
    """``start`` and ``end``: of the quote in the passage's text.

    The text of a passage, a widened one too, is exactly that of the document between its offsets, and so is
    the quote between its own.
    """
    return Citation(
        **{name: getattr(passage, name) for name in Place.model_fields},
        n=n,
        document_id=passage.document_id,
        generation=passage.generation,
        collection=passage.collection,
        title=passage.title,
        source_uri=passage.source_uri,
        start=passage.start + start,
        end=passage.start + end,
        quote=passage.text[start:end],
    )


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in [*_BREAK.finditer(text), None]:
        end = match.end() if match else len(text)
        heading = _HEADING.match(text, start, end)
        if heading:
            yield start, heading.end()
            start = heading.end()
        for sentence in sentence_ends(text, start, end):
            yield start, sentence
            start = sentence
        yield start, end
        start = end


def _trimmed(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    stripped = piece.lstrip()
    begin = end - len(stripped)
    return Span(begin, begin + len(stripped.rstrip()))


def _shortened(text: str, span: Span) -> Span:
    if span.end - span.start <= MAX_QUOTE:
        return span
    space = text.rfind(" ", span.start + MAX_QUOTE // 2, span.start + MAX_QUOTE)
    end = space if space > 0 else span.start + MAX_QUOTE
    return Span(span.start, span.start + len(text[span.start : end].rstrip()))
