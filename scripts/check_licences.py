"""Check that every installed dependency has a licence which this project may be distributed with.

A package's own declaration counts, in this order: the SPDX ``License-Expression``, the licence classifiers
(all of them), the ``License`` field. A package that declares nothing usable fails until somebody has read
its licence and written the result into ``REVIEWED``.
"""

import re
import sys
from collections.abc import Mapping
from importlib.metadata import Distribution
from typing import NamedTuple

from scripts.dependencies import NotInstalledError, required

ALLOWED = frozenset(
    (
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CNRI-Python",
        "HPND",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",
        "PSF-2.0",
        "PostgreSQL",
        "Python-2.0",
        "Unicode-3.0",
        "Unlicense",
        "Zlib",
    )
)
"""Permissive licences, and MPL-2.0: its conditions end at the file, and we change none of its files."""

ALLOWED_EXCEPTIONS = frozenset({"LLVM-exception"})

CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}
"""The last part of a ``License ::`` classifier, and what it means."""

VAGUE_CLASSIFIERS = frozenset({"OSI Approved", "DFSG approved"})
"""Classifiers that name no licence."""

SPELLINGS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "mit license": "MIT",
}
"""Names in the free-text ``License`` field that are no SPDX expression, in lower case."""

EXACT = {"kreuzberg": "4.10.4"}
"""Packages whose licence differs between releases: the one release whose licence we have read (MIT)."""

REVIEWED: dict[str, tuple[str, str]] = {}
"""Packages that declare nothing usable: (version, SPDX expression) as read in that version's own files."""

CUDA_RUNTIME = ("nvidia-", "cuda-")
"""Parts of torch's CUDA build: proprietary, and never distributed by us; a CPU build has none of them."""

_TOKEN = re.compile(r"\(|\)|[A-Za-z0-9.+-]+")


class Finding(NamedTuple):
    """A package that must not stay, and what to do about it."""

    package: str
    problem: str
    cure: str


def is_cuda_runtime(name: str) -> bool:
    return name.startswith(CUDA_RUNTIME)


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression can be satisfied with allowed licences: any side of OR, both sides of AND.

    :raises ValueError: not an expression of identifiers, AND, OR, WITH and parentheses.
    """
    if _TOKEN.sub("", expression).strip():
        raise ValueError(f"not an SPDX expression: {expression!r}")
    tokens = _TOKEN.findall(expression)
    allowed = _either(tokens)
    if tokens:
        raise ValueError(f"not an SPDX expression: {expression!r}")
    return allowed


def _either(tokens: list[str]) -> bool:
    allowed = _both(tokens)
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        allowed = _both(tokens) or allowed
    return allowed


def _both(tokens: list[str]) -> bool:
    allowed = _term(tokens)
    while tokens and tokens[0] == "AND":
        tokens.pop(0)
        allowed = _term(tokens) and allowed
    return allowed


def _term(tokens: list[str]) -> bool:
    head = tokens.pop(0) if tokens else ")"
    if head == "(":
        allowed = _either(tokens)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError("a parenthesis is not closed")
        return allowed
    if head in {")", "AND", "OR", "WITH"}:
        raise ValueError(f"a licence is missing before {head!r}")
    allowed = head in ALLOWED
    if tokens and tokens[0] == "WITH":
        tokens.pop(0)
        exception = tokens.pop(0) if tokens else ""
        allowed = allowed and exception in ALLOWED_EXCEPTIONS
    return allowed


def declared(package: Distribution) -> str | None:
    """The SPDX expression that the package's metadata amounts to; ``None``: it declares nothing usable."""
    metadata = package.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = [line.split(" :: ") for line in metadata.get_all("Classifier", [])]
    names = [
        parts[-1] for parts in classifiers if parts[0] == "License" and parts[-1] not in VAGUE_CLASSIFIERS
    ]
    if names:
        return " AND ".join(CLASSIFIERS.get(name) or _reference(name) for name in names)
    text = metadata["License"].strip() if "License" in metadata else ""
    if not text or "\n" in text:
        return None
    return SPELLINGS.get(text.lower(), text)


def _reference(name: str) -> str:
    """The SPDX form for a licence that is not on SPDX's list."""
    return "LicenseRef-" + re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def check(packages: Mapping[str, Distribution]) -> list[Finding]:
    """The packages among ``packages`` (by canonical name) that must not stay."""
    findings = [_check_one(name, package) for name, package in packages.items() if not is_cuda_runtime(name)]
    return [finding for finding in findings if finding is not None]


def _check_one(name: str, package: Distribution) -> Finding | None:
    version = package.version
    if name in EXACT and version != EXACT[name]:
        problem = f"{version} is installed; only the licence of {EXACT[name]} has been read"
        return Finding(
            name, problem, f"pip install {name}=={EXACT[name]}, or read the licence and change EXACT"
        )
    reviewed_version, expression = REVIEWED.get(name, (None, declared(package)))
    if reviewed_version not in {None, version}:
        return Finding(
            name, f"reviewed in {reviewed_version}, installed {version}", "review it again in REVIEWED"
        )
    if expression is None:
        return Finding(name, f"{version} declares no licence", "read it and add it to REVIEWED")
    try:
        allowed = is_allowed(expression)
    except ValueError as error:
        return Finding(name, f"{version}: {error}", "read the licence and add it to REVIEWED or SPELLINGS")
    if allowed:
        return None
    return Finding(
        name,
        f"{version} is under {expression}",
        "use another package, or a release under a licence in ALLOWED",
    )


def main() -> int:
    try:
        packages = required()
    except NotInstalledError as error:
        print(f"licences: {error}", file=sys.stderr)
        return 1
    findings = check(packages)
    for finding in findings:
        print(f"licences: {finding.package}: {finding.problem}. {finding.cure}.", file=sys.stderr)
    cuda = sum(map(is_cuda_runtime, packages))
    note = (
        f"; {cuda} parts of torch's CUDA build not checked (proprietary, not ours to distribute)"
        if cuda
        else ""
    )
    print(f"licences: {len(packages) - cuda - len(findings)} of {len(packages) - cuda} packages pass{note}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
