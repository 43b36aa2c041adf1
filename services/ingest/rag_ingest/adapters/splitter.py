"""The splitter of ``langchain-text-splitters``, measured in words."""

from collections.abc import Sequence

from langchain_text_splitters.character import RecursiveCharacterTextSplitter

# From the widest pause to the narrowest: paragraphs, lines, sentences, words.
_PAUSES = [r"(?:\r?\n[ \t]*){2,}", r"\n\s*", r"(?<=[.!?…])\s+", r"\s+"]


class WordSplitter:
    """Pieces of at most ``max_words`` words and about ``max_characters`` characters.

    A run without white space is not cut, however long.
    """

    def __init__(self, *, max_words: int, max_characters: int) -> None:
        # Every word weighs max_characters / max_words; what is longer than that weighs its length.
        self._word_weight = max(1, max_characters // max_words)
        # Exactness rests on three settings: separators stay with the piece before them, nothing is
        # stripped, and nothing overlaps. The pieces then join to the text, and offsets are sums of lengths;
        # the library's own add_start_index searches for the piece and finds the wrong one in repeated text.
        self._splitter = RecursiveCharacterTextSplitter(
            separators=_PAUSES,
            is_separator_regex=True,
            keep_separator="end",
            strip_whitespace=False,
            chunk_overlap=0,
            chunk_size=max_words * self._word_weight,
            length_function=self._weight,
        )

    def split(self, text: str) -> Sequence[str]:
        """Pieces that joined together are ``text`` again."""
        return self._splitter.split_text(text) if text else ()

    def _weight(self, text: str) -> int:
        return max(len(text), self._word_weight * len(text.split()))
