"""Documents and questions for benchmarks: made up, but with the lengths and word statistics of prose."""

import random
from dataclasses import dataclass

_SUBJECTS = (
    "calibration travel payroll turbine harvest archive protocol antenna ledger reactor harbour glacier "
    "satellite warehouse inspection contract vaccine orchard bridge pipeline museum tariff compiler "
    "sensor buoy forecast licence audit shipment curriculum embankment ferry quarry beacon"
).split(" ")
_VERBS = (
    "measures replaces records approves delays protects connects describes rejects restores "
    "schedules compares exceeds supports inspects publishes"
).split(" ")
_QUALITIES = (
    "annual coastal digital emergency frozen regional thermal temporary certified northern "
    "obsolete portable quarterly redundant seasonal shared underground verified"
).split(" ")
_LINKS = ("because", "although", "while", "after", "before", "unless", "so that", "whenever")


@dataclass(frozen=True)
class BenchDocument:
    name: str
    text: str
    question: str


def _sentence(rng: random.Random) -> str:
    first, second = rng.choice(_SUBJECTS), rng.choice(_SUBJECTS)
    return (
        f"The {rng.choice(_QUALITIES)} {first} {rng.choice(_VERBS)} the {rng.choice(_QUALITIES)} {second} "
        f"{rng.choice(_LINKS)} section {rng.randint(1, 9999)} of the {rng.choice(_SUBJECTS)} plan "
        f"{rng.choice(_VERBS)} every {rng.choice(_SUBJECTS)} within {rng.randint(2, 90)} days."
    )


def documents(count: int, *, size: int = 2000, seed: int = 7) -> list[BenchDocument]:
    """``count`` distinct documents of about ``size`` characters, the same for the same seed."""
    made = []
    for number in range(count):
        rng = random.Random(f"{seed}-{number}")
        sentences: list[str] = []
        while sum(map(len, sentences)) < size:
            sentences.append(_sentence(rng))
        paragraphs = [" ".join(sentences[start : start + 4]) for start in range(0, len(sentences), 4)]
        made.append(
            BenchDocument(
                name=f"report-{seed}-{number:06}.txt",
                text="\n\n".join(paragraphs) + "\n",
                question=f"Which {rng.choice(_QUALITIES)} {rng.choice(_SUBJECTS)} {rng.choice(_VERBS)} the "
                f"{rng.choice(_SUBJECTS)} plan number {number}?",
            )
        )
    return made


def questions(count: int, seed: int = 11) -> list[str]:
    """``count`` distinct questions."""
    return [document.question for document in documents(count, size=1, seed=seed)]
