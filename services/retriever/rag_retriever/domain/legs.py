"""Which legs of a hybrid search take part: those that can know something about the question."""

from rag_common.contracts import Leg, SearchMode
from rag_common.languages import reads


def choose_legs(
    mode: SearchMode, question: str, languages: tuple[str, ...], *, has_terms: bool
) -> tuple[Leg, ...]:
    """A mode of one leg is obeyed. In ``hybrid`` the dense leg needs a model that reads the question's
    script, and the sparse one a term to look for; without either the sparse leg stands alone.

    Measured on Russian questions with an English-only model (nDCG@10): BM25 alone .955, fused with
    the dense leg .537.
    """
    if mode != "hybrid":
        return (mode,)
    if not reads(languages, question):
        return ("sparse",)
    return ("dense", "sparse") if has_terms else ("dense",)
