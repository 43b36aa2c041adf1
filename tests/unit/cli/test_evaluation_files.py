"""Question files and retrieval collections."""

import json
from pathlib import Path

import pytest

from rag_common.contracts import MAX_EXPANSION
from ragp.errors import CommandError
from ragp.evaluation.folders import read_folder
from ragp.evaluation.question_files import read_questions
from ragp.evaluation.questions import Question, Span, TextDocument
from ragp.evaluation.search_settings import SearchSettings

ROOT = Path(__file__).parents[3]


def file(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines_hold_documents_spans_answers_and_labels(tmp_path: Path) -> None:
    lines = [
        {
            "id": "q1",
            "question": " Who? ",
            "documents": ["a.md", "b.md"],
            "language": "en",
            "collection": "hr",
        },
        {"question": "Где?", "documents": {"a.md": 2}, "answers": ["в\u2028 Актау"]},
        {"question": "When?", "spans": [{"document": "c.md", "start": 3, "end": 9}]},
    ]
    text = "\ufeff" + "\r\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    assert read_questions(file(tmp_path, "q.jsonl", text)) == [
        Question("q1", "Who?", {"a.md": 1.0, "b.md": 1.0}, language="en", collection="hr"),
        Question("2", "Где?", {"a.md": 2.0}, answers=("в\u2028 Актау",)),
        Question("3", "When?", {"c.md": 1.0}, spans=(Span("c.md", 3, 9),)),
    ]


def test_rows_of_a_csv_file_with_one_id_are_one_question(tmp_path: Path) -> None:
    text = (
        "id,question,document,relevance,start,end,answer,language\n"
        'q1,"Who, and why?",a.md,2,,,,en\n'
        'q1,"Who, and why?",b.md,,10,20,,en\n'
        'q1,"Who, and why?",b.md,,30,40,because,en\n'
        ",Where?,,,,,here,\n"
    )
    assert read_questions(file(tmp_path, "q.csv", text)) == [
        Question(
            "q1", "Who, and why?", {"a.md": 2.0, "b.md": 1.0},
            spans=(Span("b.md", 10, 20), Span("b.md", 30, 40)), answers=("because",), language="en",
        ),
        Question("2", "Where?", answers=("here",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("q.jsonl", "{", "line 1 is not JSON"),
        ("q.jsonl", "\n[]", "line 2"),
        ("q.jsonl", '{"question": "Who?"}', "nothing is expected"),
        ("q.jsonl", '{"question": " ", "documents": ["a"]}', "question"),
        ("q.jsonl", '{"question": "Who?", "document": "a"}', "document: Extra inputs"),
        ("q.jsonl", '{"question": "Who?", "documents": {"a": 0}}', "greater than 0"),
        (
            "q.jsonl",
            '{"question": "Who?", "spans": [{"document": "a", "start": 5, "end": 5}]}',
            "must end after",
        ),
        ("q.jsonl", '{"id": "1", "question": "A?", "answers": ["a"]}\n' * 2, "another question has the id 1"),
        ("q.jsonl", "\n", "holds no questions"),
        ("q.csv", "question,doc\nWho?,a", "column 'doc'"),
        ("q.csv", "question,document\nWho, then?,a", "row 1 has more fields"),
        ("q.csv", "id,question,document\n1,Who?,a\n1,Where?,b", "row 2 differs from"),
        ("q.csv", "question,document,start\nWho?,a,1", "spans.0.end"),
        ("q.csv", "question,document,relevance\nWho?,a,much", "a valid number"),
    ],
)
def test_what_is_wrong_in_a_question_file_is_named(
    tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    with pytest.raises(CommandError) as caught:
        read_questions(file(tmp_path, name, text))
    assert complaint in caught.value.message


def test_a_question_file_must_be_there_and_in_utf_8(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        read_questions(tmp_path / "none.jsonl")
    (tmp_path / "q.jsonl").write_bytes("Где?".encode("cp1251"))
    with pytest.raises(CommandError, match="not in UTF-8"):
        read_questions(tmp_path / "q.jsonl")


CORPUS = (
    '{"_id": "1", "title": "Ferry", "text": "From pier four.", "metadata": {}}\n'
    '{"_id": "a/b", "title": "", "text": "Паром"}\n'
    '{"_id": 3, "title": "Only a title", "text": " "}\n'
    '{"_id": "4", "text": ""}\n'
)
QUERIES = '{"_id": "q1", "text": "Which pier?"}\n{"_id": "q2", "text": "Unjudged?"}\n'


@pytest.mark.parametrize(
    ("name", "judgements"),
    [
        ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\t1\t2\nq1\ta/b\t1\nq1\t3\t0\n"),
        ("qrels.tsv", "q1\t1\t2\r\nq1\ta/b\t1\r\n"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\t1\t2\nq1\ta/b\t1\n"),
        ("qrels.tsv", "q1 0 1 2\nq1 0 a/b 1\nq2 0 1 -1\n"),
    ],
    ids=["header", "no header", "BEIR", "TREC"],
)
def test_a_retrieval_collection_is_read(tmp_path: Path, name: str, judgements: str) -> None:
    file(tmp_path, "corpus.jsonl", CORPUS)
    file(tmp_path, "queries.jsonl", QUERIES)
    file(tmp_path, name, judgements)
    found = read_folder(tmp_path, "ferries")
    assert found.questions == (
        Question("q1", "Which pier?", {"corpus:/1": 2.0, "corpus:/a%2Fb": 1.0}, collection="ferries"),
    )
    assert found.documents == (
        TextDocument("corpus:/1", "From pier four.", "Ferry"),
        TextDocument("corpus:/a%2Fb", "Паром"),
        TextDocument("corpus:/3", "Only a title", "Only a title"),
    )
    assert (found.unjudged, found.empty) == (1, 1)


@pytest.mark.parametrize(
    ("judgements", "complaint"),
    [
        ("q1\t1\n", "line 1 does not have the columns"),
        ("q1\t1\t1\nq1\t1\tyes\n", "line 2: the relevance 'yes'"),
        ("q7\t1\t1\n", "judges no query"),
    ],
)
def test_what_is_wrong_in_judgements_is_named(tmp_path: Path, judgements: str, complaint: str) -> None:
    file(tmp_path, "corpus.jsonl", CORPUS)
    file(tmp_path, "queries.jsonl", QUERIES)
    file(tmp_path, "qrels.tsv", judgements)
    with pytest.raises(CommandError, match=complaint):
        read_folder(tmp_path, "ferries")


def test_a_folder_without_judgements_is_no_retrieval_collection(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"holds no qrels\.tsv"):
        read_folder(tmp_path, "ferries")


def test_settings_are_written_by_name() -> None:
    first = SearchSettings.parse("mode=hybrid, limit=20,rerank=false")
    assert first.fields() == {"mode": "hybrid", "limit": 20, "rerank": False}
    assert str(first) == "mode=hybrid, limit=20, rerank=false"
    assert SearchSettings.parse("mode=sparse,expand=800", first).fields() == {
        **first.fields(),
        "mode": "sparse",
        "expand": 800,
    }
    assert (SearchSettings.parse("").fields(), str(SearchSettings.parse(""))) == ({}, "defaults")


@pytest.mark.parametrize(
    "text",
    [
        "mode",
        "mode=fast",
        "depth=3",
        "limit=0",
        "diversity=2",
        "rerank=perhaps",
        f"expand={MAX_EXPANSION + 1}",
    ],
)
def test_settings_that_a_search_does_not_have_are_refused(text: str) -> None:
    with pytest.raises(CommandError):
        SearchSettings.parse(text)


def test_the_example_questions_expect_files_of_the_example_corpus() -> None:
    questions = read_questions(ROOT / "examples" / "questions.jsonl")
    assert len(questions) >= 20
    assert {question.language for question in questions} == {"en", "ru"}
    for question in questions:
        for document in question.relevant:
            assert (ROOT / "examples" / "corpus" / document).is_file()


def test_the_questions_in_the_documentation_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    block = page.split("```json\n")[1].split("```")[0]
    questions = read_questions(file(tmp_path, "q.jsonl", block))
    assert [question.id for question in questions] == ["q1", "q2", "q3", "q4"]
