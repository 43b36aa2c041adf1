"""BM25 encoding with the stemmer of each word's script, by the tokenizers of Qdrant Edge."""

import re
from collections.abc import Sequence
from typing import Any

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

_LATIN_STEMMERS = {
    "da": "danish",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "sv": "swedish",
    "tr": "turkish",
}

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
    Terms are hashed to 31 bits by their spelling, whichever stemmer made them: a number has the same
    hash in every text, and words of different scripts share one only by chance.
    """

    def __init__(self) -> None:
        self._latin: dict[str, Bm25] = {}
        self._cyrillic = _counter(language="russian")
        self._other = _counter(
            tokenizer=TokenizerType.Multilingual, stemmer=DisabledStemmer(), stopwords=StopwordsSet()
        )

    def encode_documents(self, texts: Sequence[str], languages: tuple[str, ...]) -> list[SparseVector]:
        """See :class:`rag_retriever.domain.ports.SparseEncoder`."""
        return [self._document(text, languages) for text in texts]

    def encode_query(self, question: str, languages: tuple[str, ...]) -> SparseVector:
        """See :class:`rag_retriever.domain.ports.SparseEncoder`."""
        parts = self._by_script(question, languages)
        terms = {index for encoder, words in parts for index in encoder.embed_query(words).indices}
        return SparseVector(np.array(sorted(terms), np.uint32), np.ones(len(terms), np.float32))

    def _document(self, text: str, languages: tuple[str, ...]) -> SparseVector:
        counts: dict[int, int] = {}
        for encoder, words in self._by_script(text, languages):
            part = encoder.embed_document(words)
            for index, value in zip(part.indices, part.values, strict=True):
                counts[index] = counts.get(index, 0) + max(1, round(value))
        indices = np.array(sorted(counts), np.uint32)
        frequencies = np.array([counts[index] for index in sorted(counts)], np.float32)
        length_ratio = float(frequencies.sum()) / AVERAGE_LENGTH
        weights = frequencies * (K1 + 1) / (frequencies + K1 * (1 - B + B * length_ratio))
        return SparseVector(indices, weights.astype(np.float32))

    def _by_script(self, text: str, languages: tuple[str, ...]) -> list[tuple[Bm25, str]]:
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
        parts = ((self._latin_encoder(languages), latin), (self._cyrillic, cyrillic), (self._other, other))
        return [(encoder, " ".join(words)) for encoder, words in parts if words]

    def _latin_encoder(self, languages: tuple[str, ...]) -> Bm25:
        """English, unless the space reads other languages in Latin script and not English."""
        stemmers = [_LATIN_STEMMERS[language] for language in languages if language in _LATIN_STEMMERS]
        language = "english" if "english" in stemmers or not stemmers else stemmers[0]
        if language not in self._latin:
            self._latin[language] = _counter(language=language)
        return self._latin[language]


def _counter(**options: Any) -> Bm25:
    """An encoder whose document weights are term counts."""
    return Bm25(Bm25Config(k=_COUNTING, b=0.0, **options))
