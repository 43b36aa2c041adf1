"""Which passages a prompt has room for, and in which order they are read."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from rag_common.contracts import Passage
from rag_generator.domain.quotes import sentence_spans

Cost = Callable[[Passage], int]
"""Tokens of a passage in the prompt."""
SHORTEST = 40
"""Characters; less of a passage says nothing."""
SPARSEST = 8
"""Characters of a token: text has fewer, so what has more is not weighed as a whole."""


def choose(passages: Sequence[Passage], budget: int, cost: Cost) -> tuple[Passage, ...]:
    """Those of the passages, the most relevant first, that fit into ``budget`` tokens together.

    One that does not fit is left out and the next ones are tried; the most relevant one is cut instead, at
    the end of a sentence, or of a word where not even its first sentence fits. None where there is no room
    for
    :data:`SHORTEST` characters of it.
    """
    if not passages:
        return ()
    first = _cut(passages[0], budget, cost)
    if first is None:
        return ()
    chosen, left = [first], budget - cost(first)
    for passage in passages[1:]:
        size = _cost_within(passage, left, cost)
        if size <= left:
            chosen.append(passage)
            left -= size
    return tuple(chosen)


def in_reading_order(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """The documents in the order of their most relevant passage, each from its beginning to its end."""
    documents = {document: no for no, document in reversed(list(enumerate(map(_document, passages))))}
    return tuple(sorted(passages, key=lambda passage: (documents[_document(passage)], passage.start)))


def _cost_within(passage: Passage, budget: int, cost: Cost) -> int:
    """Its cost, or that of so much of it as is above ``budget`` anyway: work in proportion to the budget."""
    beginning = SPARSEST * max(budget, SHORTEST)
    if len(passage.text) > beginning and (least := cost(_until(passage, beginning))) > budget:
        return least
    return cost(passage)


def _document(passage: Passage) -> tuple[str, int]:
    return passage.document_id, passage.generation


def _cut(passage: Passage, budget: int, cost: Cost) -> Passage | None:
    if _cost_within(passage, budget, cost) <= budget:
        return passage
    sentences = [span.end for span in sentence_spans(passage.text)]
    words = [no for no, character in enumerate(passage.text) if character.isspace()]
    for ends in (sentences, words, range(1, len(passage.text))):
        # what is longer costs more, but for a token or so where a code span is cut
        fitting = bisect_right(ends, budget, key=lambda end: cost(_until(passage, end)))
        for end in reversed(ends[max(0, fitting - 3) : fitting]):
            shorter = _until(passage, end)
            if end >= SHORTEST and cost(shorter) <= budget:
                return shorter
    return None


def _until(passage: Passage, end: int) -> Passage:
    text = passage.text[:end].rstrip()
    return passage.model_copy(update={"text": text, "end": passage.start + len(text)})
