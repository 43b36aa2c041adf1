"""How the processor's cores are shared between slices that are encoded side by side."""

from dataclasses import dataclass

MAX_WORKERS = 4
"""Beyond this, slices encoded side by side compete for Python's lock between the operators."""


@dataclass(frozen=True, slots=True)
class Parallelism:
    """So many slices at once, each computed by so many threads."""

    workers: int
    threads: int


def best_parallelism(workers: int | None, *, cores: int) -> Parallelism:
    """Share the cores between workers (by default one for each core, at most 4).

    Two slices on a core each are faster than one slice on two cores: threads of one slice wait for
    each other in every operator, the longer the busier the machine is.
    """
    workers = workers or min(cores, MAX_WORKERS)
    return Parallelism(workers, max(1, cores // workers))
