"""BM25 encoding with the stemmer of each word's script, by the tokenizers of Qdrant Edge."""

import re
from collections.abc import Sequence

import numpy as np
from qdrant_edge import Bm25, Bm25Config, DisabledStemmer, StopwordsSet, TokenizerType

from rag_retriever.domain.index import SparseVector

K1 = 1.2
B = 0.75
"""Term saturation and length normalisation: the usual values, also Qdrant's defaults."""
AVERAGE_LENGTH = 64.0
"""Terms that a chunk of about 100 words keeps once stop words are gone. A change needs re-indexing."""
_COUNTING = 1e9
"""With k this large and b = 0 the BM25 weight of a term *is* its count, up to float rounding."""

_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"\d+")
_CYRILLIC = re.compile(r"[\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f]")
_LATIN_ONLY = re.compile(
    r"[\W\d_a-zA-Z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff\ufb00-\ufb06\uff21-\uff3a\uff41-\uff5a]+"
)


class Bm25Encoder:
    """Counts terms per script, then weighs them together.

    Weighing each script's words on their own would normalise by the length of a part of the text;
    so the counts of all parts are merged first, and BM25's formula is applied to the whole.
    Terms are hashed to 31 bits by their spelling: words of different scripts never share one by
    design, and a number has the same one in every text.
    """

    def __init__(self, latin_language: str = "english") -> None:
        """:raises ValueError: no stemmer for ``latin_language`` (``"english"``, ``"german"``, …)."""
        self._latin = Bm25(Bm25Config(k=_COUNTING, b=0.0, language=latin_language))
        self._cyrillic = Bm25(Bm25Config(k=_COUNTING, b=0.0, language="russian"))
        self._other = Bm25(
            Bm25Config(
                k=_COUNTING,
                b=0.0,
                tokenizer=TokenizerType.Multilingual,
                stemmer=DisabledStemmer(),
                stopwords=StopwordsSet(),
            )
        )

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """See :class:`rag_retriever.domain.ports.SparseEncoder`."""
        return [self._document(text) for text in texts]

    def encode_query(self, question: str) -> SparseVector:
        """See :class:`rag_retriever.domain.ports.SparseEncoder`."""
        terms = {
            index
            for encoder, words in self._by_script(question)
            for index in encoder.embed_query(words).indices
        }
        return SparseVector(np.array(sorted(terms), np.uint32), np.ones(len(terms), np.float32))

    def _document(self, text: str) -> SparseVector:
        counts: dict[int, int] = {}
        for encoder, words in self._by_script(text):
            part = encoder.embed_document(words)
            for index, value in zip(part.indices, part.values, strict=True):
                counts[index] = counts.get(index, 0) + max(1, round(value))
        indices = np.array(sorted(counts), np.uint32)
        frequencies = np.array([counts[index] for index in sorted(counts)], np.float32)
        length_ratio = float(frequencies.sum()) / AVERAGE_LENGTH
        weights = frequencies * (K1 + 1) / (frequencies + K1 * (1 - B + B * length_ratio))
        return SparseVector(indices, weights.astype(np.float32))

    def _by_script(self, text: str) -> list[tuple[Bm25, str]]:
        """The text's words, sorted by the encoder that reads their script.

        Digits inside a word of another script go with Latin: the multilingual tokenizer drops them.
        """
        latin: list[str] = []
        cyrillic: list[str] = []
        other: list[str] = []
        for word in _WORD.findall(text):
            if _LATIN_ONLY.fullmatch(word):
                latin.append(word)
            elif _CYRILLIC.search(word):
                cyrillic.append(word.replace("ё", "е").replace("Ё", "Е"))
            else:
                other.append(word)
                latin.extend(_DIGITS.findall(word))
        parts = ((self._latin, latin), (self._cyrillic, cyrillic), (self._other, other))
        return [(encoder, " ".join(words)) for encoder, words in parts if words]
