"""What pyproject.toml, constraints.txt and the licence check say about versions, held against each other."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.check_licences import EXACT

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {
    extra: [Requirement(line) for line in lines] for extra, lines in PROJECT["optional-dependencies"].items()
}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def direct() -> dict[str, Requirement]:
    lines = [Requirement(line) for line in PROJECT["dependencies"]]
    everything = lines + [requirement for extra in EXTRAS.values() for requirement in extra]
    return {canonicalize_name(requirement.name): requirement for requirement in everything}


def closure(extra: str) -> set[str]:
    """Names of the third-party requirements of an extra, our own extras unfolded."""
    names: set[str] = set()
    for requirement in EXTRAS[extra]:
        if requirement.name == PROJECT["name"]:
            names.update(*(closure(inner) for inner in requirement.extras))
        else:
            names.add(canonicalize_name(requirement.name))
    return names


def test_every_direct_dependency_is_pinned() -> None:
    assert set(direct()) - {PROJECT["name"]} <= set(pins())


def test_a_pin_carries_no_local_version() -> None:
    assert [name for name, version in pins().items() if "+" in version] == []


def test_a_relicensed_package_is_pinned_exactly_everywhere() -> None:
    for name, version in EXACT.items():
        assert pins()[name] == version
        assert str(direct()[name].specifier) == f"=={version}"


def test_torch_is_only_in_the_image_of_the_embedder() -> None:
    services = ["gateway", "ingest", "embedder", "retriever", "generator", "cli"]
    assert [extra for extra in services if "torch" in closure(extra)] == ["embedder"]
