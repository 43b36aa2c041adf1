"""What vectors must have in common to be compared with each other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Space:
    """One model with everything that decides what its vectors mean.

    The prefixes are put in front of a question or a passage before it is encoded, as the model
    was trained; ``languages`` are those it reads, as ISO 639-1 codes.
    """

    name: str
    model: str
    dimension: int
    query_prefix: str = ""
    passage_prefix: str = ""
    languages: tuple[str, ...] = ("en",)
