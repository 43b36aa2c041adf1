"""The licence check, on distributions written to disk."""

from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from scripts.check_licences import CLASSIFIERS, EXACT, SPELLINGS, check, declared, is_allowed
from scripts.dependencies import NotInstalledError, required


def written(folder: Path, *headers: str, name: str = "sample", version: str = "1.0") -> Distribution:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *headers]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return PathDistribution(info)


@pytest.mark.parametrize(
    "expression",
    [
        "MIT",
        "Apache-2.0 AND MIT",
        "GPL-3.0-only OR MIT",
        "MPL-2.0 AND (GPL-3.0-only OR Apache-2.0)",
        "Apache-2.0 WITH LLVM-exception",
    ],
)
def test_a_satisfiable_expression_is_allowed(expression: str) -> None:
    assert is_allowed(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "(MIT AND Elastic-2.0) OR LGPL-3.0-only",
        "MIT AND GPL-2.0-only WITH Classpath-exception-2.0",
        "LicenseRef-Proprietary",
    ],
)
def test_an_expression_that_needs_another_licence_is_refused(expression: str) -> None:
    assert not is_allowed(expression)


@pytest.mark.parametrize(
    "expression", ["", "MIT AND", "OR MIT", "(MIT", "MIT MIT", "see LICENSE file, page 2"]
)
def test_what_is_no_expression_is_an_error(expression: str) -> None:
    with pytest.raises(ValueError, match=r"SPDX|missing|closed"):
        is_allowed(expression)


def test_the_expression_wins_over_classifiers(tmp_path: Path) -> None:
    package = written(
        tmp_path, "License-Expression: Elastic-2.0", "Classifier: License :: OSI Approved :: MIT License"
    )
    assert declared(package) == "Elastic-2.0"


def test_all_licence_classifiers_count(tmp_path: Path) -> None:
    package = written(
        tmp_path,
        "Classifier: License :: OSI Approved",
        "Classifier: License :: OSI Approved :: MIT License",
        "Classifier: License :: Other/Proprietary License",
    )
    assert declared(package) == "MIT AND LicenseRef-Other-Proprietary-License"
    assert [finding.package for finding in check({"sample": package})] == ["sample"]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_known_classifier_is_allowed(name: str) -> None:
    assert is_allowed(CLASSIFIERS[name])


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_known_spelling_of_the_licence_field_is_understood(tmp_path: Path, text: str) -> None:
    assert check({"sample": written(tmp_path, f"License: {text.title()}")}) == []


def test_a_package_without_a_licence_is_found(tmp_path: Path) -> None:
    (finding,) = check({"sample": written(tmp_path)})
    assert finding.package == "sample"
    assert "declares no licence" in finding.problem
    assert "REVIEWED" in finding.cure


def test_another_release_of_a_relicensed_package_is_found_whatever_it_declares(tmp_path: Path) -> None:
    package = written(tmp_path, "License-Expression: MIT", name="kreuzberg", version="4.99.0")
    (finding,) = check({"kreuzberg": package})
    assert f"kreuzberg=={EXACT['kreuzberg']}" in finding.cure


def test_parts_of_the_cuda_build_are_passed_over(tmp_path: Path) -> None:
    package = written(tmp_path, "License: NVIDIA Proprietary Software", name="nvidia-cublas")
    assert check({"nvidia-cublas": package}) == []


def test_the_walk_finds_indirect_requirements_and_leaves_ours_out() -> None:
    names = set(required())
    assert {"torch", "starlette", "pydantic-core", "pytest"} <= names
    assert "rag-platform" not in names


def test_the_walk_takes_only_the_extras_asked_for() -> None:
    assert "torch" not in required(extras=["gateway"])


def test_a_missing_distribution_is_named() -> None:
    with pytest.raises(NotInstalledError, match="no-such-distribution"):
        required("no-such-distribution")
