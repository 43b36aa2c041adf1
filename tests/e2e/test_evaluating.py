"""``ragp eval`` on the whole embedded stack."""

import json
import uuid
from pathlib import Path

import pytest
from cli_stack import CliStack

pytestmark = pytest.mark.timeout(240)

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def retrieval_collection(tmp_path: Path) -> Path:
    folder = tmp_path / f"ferries-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    texts = {
        "1": "The ferry to Skagen leaves from pier four at noon.",
        "2": "Bread is baked in the cellar of the town hall.",
        "3": "Паром в Баку отходит в полдень.",
    }
    corpus = [{"_id": name, "title": f"Note {name}", "text": text} for name, text in texts.items()]
    queries = [
        {"_id": "boat", "text": "When does the boat depart?"},
        {"_id": "паром", "text": "паром в Баку"},
    ]
    for name, lines in (("corpus", corpus), ("queries", queries)):
        written = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
        (folder / f"{name}.jsonl").write_text(written, encoding="utf-8")
    (folder / "qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\nboat\t1\t1\nпаром\t3\t1\n", encoding="utf-8"
    )
    return folder


def test_a_retrieval_collection_is_uploaded_and_measured(
    stack: CliStack, retrieval_collection: Path, tmp_path: Path
) -> None:
    page, figures = tmp_path / "report.html", tmp_path / "report.json"
    options = ("--compare", "mode=sparse", "--html", page, "--json", figures, "--fail-under", "ndcg10=0.99")
    printed = stack.ragp("eval", retrieval_collection, "--ingest", *options)
    assert "2 of 2" in printed
    assert "mode=sparse against defaults" in printed
    report = json.loads(figures.read_text(encoding="utf-8"))
    hybrid, sparse = (summary["figures"]["ndcg10"]["mean"] for summary in report["summaries"])
    assert (hybrid, sparse) == (1.0, 0.5)
    assert (report["missing"], report["summaries"][0]["errors"]) == ([], 0)
    assert "Nothing came back" in page.read_text(encoding="utf-8")
    again = ("eval", retrieval_collection, "--settings", "mode=sparse", "--fail-under", "recall10=0.6")
    assert "recall10 is 0.5000, under 0.6" in stack.ragp(*again, code=1)


def test_expected_documents_that_are_not_there_are_told(stack: CliStack, tmp_path: Path) -> None:
    collection = f"eval-{uuid.uuid4().hex[:8]}"
    stack.ragp("ingest", EXAMPLES / "corpus" / "en" / "onboarding.txt", "-c", collection)
    questions = tmp_path / "questions.csv"
    questions.write_text(
        "question,document,answer\n"
        "How long is probation?,en/onboarding.txt,Probation is six months\n"
        "How long is probation?,onbording.txt,\n",
        encoding="utf-8",
    )
    printed = stack.ragp("eval", questions, "-c", collection)
    assert "not searchable, or misspelt: onbording.txt" in printed
    assert "span recall in 4,000 characters" in printed
