"""Near-duplicates: the same text in several documents is one hit that names them all.

Two texts are near-duplicates when

* the Jaccard similarity of their sets of word triples is at least :data:`SIMILAR` (Broder: On the
  Resemblance and Containment of Documents, 1997), regardless of case and punctuation, and
* what differs in the middle of them states nothing: no number, no name, no negation. Two invoices of 100
  words that differ only in the amount have a similarity of .94 and are not the same. What one text has
  more at its beginning or its end is a matter of where it was cut.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from functools import cached_property
from itertools import pairwise

from rag_retriever.domain.candidates import Candidate

SHINGLE = 3
SIMILAR = 0.8
"""Three changed words in 100, or 24 more at one end."""

_WORD = re.compile(r"\w+")
_NEGATIONS = frozenset(
    # "t" is the end of "don't" and "isn't"
    {"no", "not", "nor", "never", "none", "without", "cannot", "t"}
    | {"не", "нет", "ни", "никогда", "без", "нельзя"}
)


class _Text:
    def __init__(self, text: str) -> None:
        self.written = _WORD.findall(text)
        # one string for all words: this runs for every text of every search
        self.words = "\n".join(self.written).casefold().replace("ё", "е").split("\n")
        if len(self.words) < SHINGLE:
            self.shingles = frozenset([hash(" ".join(self.words) or text)])
        else:
            runs = zip(*(self.words[start:] for start in range(SHINGLE)), strict=False)
            self.shingles = frozenset(map(hash, runs))

    @cached_property
    def facts(self) -> frozenset[tuple[str, int]]:
        """The words that state something; the second time a word stands there it is another member."""
        counted: Counter[str] = Counter()
        members = []
        for written, word in zip(self.written, self.words, strict=True):
            if _states_something(written):
                counted[word] += 1
                members.append((word, counted[word]))
        return frozenset(members)


def collapse(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Without near-duplicates in other documents: the first of them stands for all, as their ``copies``.

    Each candidate is compared with those that stand for others, not with their copies, so that the order
    decides alone. Identical chunks of one document stay.
    """
    kept: list[Candidate] = []
    texts: list[_Text] = []
    copies: defaultdict[int, list[Candidate]] = defaultdict(list)
    holders: defaultdict[int, list[int]] = defaultdict(list)
    for candidate in candidates:
        text = _Text(candidate.row.text)
        prefix = _prefix(text.shingles)
        for rival in sorted({holder for shingle in prefix for holder in holders.get(shingle, ())}):
            elsewhere = kept[rival].key.document_id != candidate.key.document_id
            if elsewhere and _same(texts[rival], text):
                copies[rival].append(candidate)
                break
        else:
            for shingle in prefix:
                holders[shingle].append(len(kept))
            kept.append(candidate)
            texts.append(text)
    for place, found in copies.items():
        kept[place] = replace(kept[place], copies=tuple(found))
    return kept


def _prefix(shingles: frozenset[int]) -> list[int]:
    """So many of the smallest that two sets which are similar enough share at least one of them.

    The prefix filter of Bayardo, Ma and Srikant: Scaling Up All Pairs Similarity Search, WWW 2007.
    """
    return sorted(shingles)[: len(shingles) - math.ceil(SIMILAR * len(shingles)) + 1]


def _same(one: _Text, other: _Text) -> bool:
    common = len(one.shingles & other.shingles)
    if common < SIMILAR * (len(one.shingles) + len(other.shingles) - common):
        return False
    if one.words == other.words:
        return True
    # cheap, and enough for the many documents that are filled in from one template
    if not (one.facts <= other.facts or other.facts <= one.facts):
        return False
    return not _differ_in_substance(one, other)


def _differ_in_substance(one: _Text, other: _Text) -> bool:
    matcher = SequenceMatcher(None, one.words, other.words, autojunk=False)
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        if kind == "equal":
            continue
        changed = one.written[start:end] + other.written[other_start:other_end]
        first = start == 0 and other_start == 0
        last = end == len(one.words) and other_end == len(other.words)
        if kind != "replace" and (first or last):
            # cut elsewhere, unless it was cut within a number: "1 500" is not "1 500 000"
            beside = [*one.written[max(0, start - 1) : start], *changed, *one.written[end : end + 1]]
            if any(_has_digit(left) and _has_digit(right) for left, right in pairwise(beside)):
                return True
        elif any(map(_states_something, changed)):
            return True
    return False


def _states_something(written: str) -> bool:
    """A number, a name (or whatever else has a capital letter), a negation."""
    return _has_digit(written) or written[0].isupper() or written.casefold() in _NEGATIONS


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))
