"""Near-duplicates: the same text in several documents is one hit that names them all.

Two texts are near-duplicates when they have the same words in the same order, regardless of case, layout,
the punctuation around words, and whether ё is written. One word more, fewer or otherwise may turn what is
said into its opposite ("forbidden" for "allowed", "is repealed" at the end), and a measure of similarity
cannot tell: two contracts of 100 words that differ in one have .94 of their word triples in common. So it
is better to return a text twice than to hide what another document says.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from rag_retriever.domain.candidates import Candidate
from rag_retriever.domain.index import ChunkKey

_BEFORE = "\"'“”„«‹»›‘‚*_`#|•·"
_AFTER = "\"'“”„«‹»›‘’*_`|•·.,;:!…-‐‑–—"
"""Layout and punctuation. What may mean something stays: before a word a dash and a point, since -5 is not
5 and .5 neither; after it #, since C# is not C; brackets, since (500) is a loss; ? and every other sign, as
in ~~no~~, < 5, 5 % and ☑. A dash or # that stands alone goes."""


def folded(text: str) -> str:
    """The words of the text, each on a line, without what near-duplicates may differ in.

    A text that has no word stands for itself. Takes linear time.
    """
    words = text.casefold().replace("ё", "е").replace("’", "'").split()
    return "\n".join([word for word in map(_bare, words) if word]) or text


def _bare(word: str) -> str:
    # nearly all words need nothing
    return word if word.isalpha() else word.rstrip(_AFTER).lstrip(_BEFORE)


class NearDuplicates:
    """Collapses the candidates of one query, which may become more; each text is prepared once."""

    def __init__(self) -> None:
        self._folded: dict[ChunkKey, str] = {}

    def collapse(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Without near-duplicates in other documents: the first of them stands for all, as their
        ``copies``. Identical chunks of one document stay.
        """
        kept: list[Candidate] = []
        firsts: dict[str, int] = {}
        copies: defaultdict[int, list[Candidate]] = defaultdict(list)
        for candidate in candidates:
            first = firsts.setdefault(self._words(candidate), len(kept))
            if first < len(kept) and kept[first].key.document_id != candidate.key.document_id:
                copies[first].append(candidate)
            else:
                kept.append(candidate)
        for position, found in copies.items():
            kept[position] = replace(kept[position], copies=tuple(found))
        return kept

    def _words(self, candidate: Candidate) -> str:
        words = self._folded.get(candidate.key)
        if words is None:
            words = self._folded[candidate.key] = folded(candidate.row.text)
        return words
