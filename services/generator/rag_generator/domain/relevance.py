"""Whether the passages found can answer the question at all, without asking anybody.

A passage has up to two signals, each in units of its own that mean the same for every question:

- *lexical*: its BM25 score divided by :attr:`PassagesFound.bm25_unit`, so that neither the length of the
  question nor the size of the index matters. It says something where both are in one language.
- *dense*: its cosine, from 0 (as near as the nearest passage when nothing answers the question) to 1 (as near
  as an answer), by what is known of the space. It says something where the model reads both.

The evidence for a passage is the sum of its signals. Passages answer a question when the evidence for one of
them reaches the threshold of the signals that it has and of the question's language. Where no signal is known
for any passage, nothing is refused.

Measured figures, the curve, and how the thresholds were chosen: ``docs/answers.md``.
"""

import math
from dataclasses import dataclass
from typing import Literal

from rag_common.contracts import Passage, PassagesFound
from rag_common.languages import reads
from rag_common.spaces import CATALOGUE, COSINES
from rag_generator.domain.language import Language, language_of

Kind = Literal["both", "lexical", "dense", "across"]
"""The signals of a passage; ``across``: the dense one alone, of a passage in another language."""

THRESHOLDS: dict[tuple[Kind, Language], float] = {
    ("both", "en"): 1.0,
    ("both", "ru"): 0.95,
    ("lexical", "en"): 0.8,
    ("lexical", "ru"): 0.7,
    ("dense", "en"): 0.1,
    ("dense", "ru"): 0.2,
    ("across", "en"): -0.8,
    ("across", "ru"): -0.8,
}
"""Less evidence is none. Each from the curve of its language, at about 3% false refusals."""
SCRIPT_SAMPLE = 100
"""Characters that tell the script of a passage."""
JUDGED = 10
"""Passages, the first ones: with more of them the best by chance is better."""
UNKNOWN_LANGUAGE = -0.8
"""For a question in another language: words that are not found prove nothing there."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """That a passage answers the question; enough if ``margin`` is not negative."""

    kind: Kind
    value: float
    threshold: float

    @property
    def margin(self) -> float:
        return self.value - self.threshold


NOTHING = Evidence("across", -math.inf, 0.0)
"""Where all passages were proposed for nothing but vectors that mean nothing."""


def is_relevant(question: str, found: PassagesFound) -> bool:
    """Whether an answer is worth trying. Takes about half a millisecond."""
    if not found.passages:
        return False
    strongest = strongest_evidence(question, found)
    return strongest is None or strongest.margin >= 0


def strongest_evidence(question: str, found: PassagesFound) -> Evidence | None:
    """That of the passage with the greatest margin; ``None``: nothing is known about any of them."""
    judge = _Judge(question, found)
    passages = [passage for passage in found.passages[:JUDGED] if not judge.is_noise(passage)]
    if not passages:
        return NOTHING
    judged = map(judge.evidence, passages)
    return max((one for one in judged if one is not None), key=lambda one: one.margin, default=None)


class _Judge:
    """What is known about the signals of one search."""

    def __init__(self, question: str, found: PassagesFound) -> None:
        self._language = language_of(question)
        self._unit = found.bm25_unit
        space = CATALOGUE.get(found.space or "")
        known = space is not None and space.name in COSINES and reads(space.languages, question)
        self._space = space if known and found.mode != "sparse" else None

    def is_noise(self, passage: Passage) -> bool:
        """Whether it was proposed for nothing but its vector, by a model that does not read it."""
        return (
            self._space is not None
            and "sparse" not in passage.leg_scores
            and not reads(self._space.languages, passage.text[:SCRIPT_SAMPLE])
        )

    def evidence(self, passage: Passage) -> Evidence | None:
        same = self._language is not None and language_of(passage.text) == self._language
        lexical = self._lexical(passage) if same else None
        dense = self._dense(passage, same)
        if dense is None:
            return None if lexical is None else self._of("lexical", lexical)
        if lexical is None:
            return self._of("dense" if same else "across", dense)
        return self._of("both", dense + lexical)

    def _of(self, kind: Kind, value: float) -> Evidence:
        threshold = UNKNOWN_LANGUAGE if self._language is None else THRESHOLDS[kind, self._language]
        return Evidence(kind, value, threshold)

    def _lexical(self, passage: Passage) -> float | None:
        """What the lexical leg has not proposed has no word of the question, or only common ones."""
        return passage.leg_scores.get("sparse", 0.0) / self._unit if self._unit else None

    def _dense(self, passage: Passage, same: bool) -> float | None:
        if self._space is None or not reads(self._space.languages, passage.text[:SCRIPT_SAMPLE]):
            return None
        unrelated, answering = COSINES[self._space.name]
        if "dense" not in passage.leg_scores:
            # far behind: in the question's language as far as what does not answer, else nobody knows
            return 0.0 if same else None
        return (passage.leg_scores["dense"] - unrelated) / (answering - unrelated)
