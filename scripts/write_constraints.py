"""Write constraints.txt: the exact version of everything that the distribution needs, as installed now.

To take newer releases: ``.venv/bin/pip install --upgrade --upgrade-strategy eager -e '.[dev]'``, then
``make constraints``, then the tests. What another platform or Python needs in addition is not pinned.
"""

from pathlib import Path

from packaging.version import Version

from scripts.check_licences import is_cuda_runtime
from scripts.dependencies import required

HEADER = """\
# Exact versions that the tests passed with. Written by "make constraints"; do not edit.
# torch is pinned without a local version, so that a CPU build and the default build both satisfy it.
"""


def pins() -> list[str]:
    """One ``name==version`` per requirement, sorted by name."""
    return [
        f"{name}=={Version(package.version).public}"
        for name, package in required().items()
        if not is_cuda_runtime(name)
    ]


def main() -> None:
    target = Path("constraints.txt")
    lines = pins()
    target.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{target}: {len(lines)} pins")


if __name__ == "__main__":
    main()
