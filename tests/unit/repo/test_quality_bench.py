"""What the benchmark of quality counts as exact offsets."""

import importlib
from pathlib import Path

import pytest

from ragp.evaluation.questions import Question, TextDocument
from ragp.evaluation.running import Reply
from ragp.evaluation.summary import Run

BENCH = Path(__file__).parents[3] / "bench"
TEXT = "Rest. Days of rest are paid, in full."
COPY = "# REST\n\n**Days of rest** are paid in full"


@pytest.mark.parametrize(
    ("span", "also_in", "exact"),
    [
        ((6, 37), (), [True]),
        ((5, 36), (), [False]),
        ((6, 37), ((8, len(COPY)),), [True, True]),
        ((6, 37), ((0, len(COPY)),), [True, False]),
        ((6, 37), ((10, 22), (30, 30), (900, 950)), [True, True, False, False]),
    ],
)
def test_offsets_of_other_documents_are_checked_too(
    span: tuple[int, int],
    also_in: tuple[tuple[int, int], ...],
    exact: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    quality, data = importlib.import_module("quality"), importlib.import_module("quality_data")
    folder = data.Folder({"hr": [TextDocument("a", TEXT), TextDocument("b", COPY)]}, {})
    passage = {
        "source_uri": "a",
        "start": span[0],
        "end": span[1],
        "text": TEXT[6:37],
        "also_in": [{"source_uri": "b", "start": start, "end": end} for start, end in also_in],
    }
    run = Run({}, [Question("1", "rest?", {})], [Reply([passage])], [None])
    assert quality.offsets(folder, run) == exact
