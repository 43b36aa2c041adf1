"""The splitter of ``langchain-text-splitters``, for sentences that are too long for a chunk."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from langchain_text_splitters.character import RecursiveCharacterTextSplitter

from rag_ingest.domain.size import ChunkSize

# From the widest pause to the narrowest: paragraphs, lines, clauses, words.
_PAUSES = [r"(?:\r?\n[ \t]*){2,}", r"\n\s*", r"(?<=[;:,—–])\s+", r"\s+"]
_PIECES_PER_CHUNK = 8
"""So that pieces of a sentence can be packed together with what stands before and after it."""
_WHOLE = 1000
_SHORT = 40
"""Characters of a text whose weight is remembered."""


class PhraseSplitter:
    """Pieces of at most an eighth of a chunk. A run without white space is not cut, however long."""

    def split(self, text: str, size: ChunkSize) -> Sequence[str]:
        """Pieces that joined together are ``text`` again."""
        return _splitter(size).split_text(text) if text else ()


@lru_cache(maxsize=64)
def _splitter(size: ChunkSize) -> RecursiveCharacterTextSplitter:
    # Exactness rests on three settings: separators stay with the piece before them, nothing is
    # stripped, and nothing overlaps. The pieces then join to the text, and offsets are sums of lengths;
    # the library's own add_start_index searches for the piece and finds the wrong one in repeated text.
    return RecursiveCharacterTextSplitter(
        separators=_PAUSES,
        is_separator_regex=True,
        keep_separator="end",
        strip_whitespace=False,
        chunk_overlap=0,
        chunk_size=_WHOLE // _PIECES_PER_CHUNK,
        length_function=_weigher(size),
    )


def _weigher(size: ChunkSize) -> Callable[[str], int]:
    """The library weighs each word three times, and most words stand in a text more than once."""

    def weight(text: str) -> int:
        return math.ceil(_WHOLE * size.share(text))

    remembered = lru_cache(maxsize=8192)(weight)
    return lambda text: remembered(text) if len(text) <= _SHORT else weight(text)
