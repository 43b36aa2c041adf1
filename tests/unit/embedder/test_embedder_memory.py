"""In processes of their own: what mallopt sets cannot be taken back."""

import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
import numpy as np
if sys.argv[1] == "keep":
    from rag_embedder.adapters.memory import keep_freed_memory
    assert keep_freed_memory()
for cycle in range(25):
    arrays = [np.ones(1 << 17) for _ in range(16)]
    if cycle == 4:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(mode: str) -> int:
    program = [sys.executable, "-c", _FAULTS, mode]
    return int(subprocess.run(program, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    assert _page_faults("keep") * 10 < _page_faults("default")
