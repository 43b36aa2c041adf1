"""Asking, and the report on what came back."""

import json
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from evaluation_support import SearchGateway, answer, passage
from rich.console import Console
from starlette.responses import JSONResponse, Response

from ragp.errors import GatewayError
from ragp.evaluation.page import html_report
from ragp.evaluation.questions import Question
from ragp.evaluation.report import References, Report, check_references, measure, report_on
from ragp.evaluation.running import Need, ask_all
from ragp.evaluation.search_settings import SearchSettings
from ragp.evaluation.terminal import print_report

NEED = Need(documents=1, characters=0)


def questions(count: int, **fields: Any) -> list[Question]:
    return [Question(str(no), f"question {no}", {f"a:/{no}": 1.0}, **fields) for no in range(count)]


def problem(status: int, detail: str) -> Response:
    return JSONResponse({"title": "No", "detail": detail, "code": "no"}, status)


async def test_replies_are_in_the_order_of_the_questions_and_requests_are_bounded() -> None:
    gateway = SearchGateway(lambda body: answer(passage(body["query"])), seconds=0.005)
    async with gateway.client() as client:
        replies = await ask_all(client, questions(20, collection="hr"), {"mode": "sparse"}, NEED, at_once=3)
    assert [reply.passages[0]["source_uri"] for reply in replies] == [f"question {no}" for no in range(20)]
    assert gateway.most_at_once == 3
    assert gateway.bodies[0] == {"query": "question 0", "limit": 30, "mode": "sparse", "collections": ["hr"]}


async def test_more_is_asked_for_where_an_answer_holds_too_few_documents() -> None:
    gateway = SearchGateway(lambda body: answer(*[passage("a:/1")] * body["limit"]))
    async with gateway.client() as client:
        await ask_all(client, questions(1), {}, Need(documents=2, characters=0))
        await ask_all(client, questions(1), {"limit": 5}, Need(documents=2, characters=0))
        await ask_all(client, questions(1), {}, Need(documents=1, characters=300))
    assert [body["limit"] for body in gateway.bodies] == [30, 100, 5, 30]


async def test_errors_degraded_answers_and_time_outs_are_told_apart() -> None:
    def answer_to(body: dict[str, Any]) -> Response:
        number = body["query"].split()[1]
        return {"0": answer(), "1": problem(504, "too late"), "2": answer(degraded=True)}[number]

    async with SearchGateway(answer_to).client() as client:
        found, failed, degraded = await ask_all(client, questions(3), {}, NEED)
    assert found.complete
    assert (failed.error, failed.complete) == ("too late", False)
    assert (degraded.degraded, degraded.complete) == ("the embedder does not answer", False)
    async with SearchGateway(lambda _: answer(), seconds=10).client() as client:
        (late,) = await ask_all(client, questions(1), {}, NEED, seconds=0.01)
    assert late.error == "no answer in 0.01 s"


@pytest.mark.parametrize("status", [401, 404, 422])
async def test_a_refusal_that_concerns_every_question_ends_the_run(status: int) -> None:
    gateway = SearchGateway(lambda _: problem(status, "not so"))
    async with gateway.client() as client:
        with pytest.raises(GatewayError, match="not so"):
            await ask_all(client, questions(100), {}, NEED)
    assert len(gateway.bodies) < 20


def half_right(body: dict[str, Any]) -> Response:
    """``sparse`` finds the even questions' documents, other modes all but question 3's; 4 and 5 go wrong."""
    number = int(body["query"].split()[1])
    if number == 4:
        return problem(504, "too <late>")
    if number == 5:
        return answer(degraded=True)
    right = number % 2 == 0 if body.get("mode") == "sparse" else number != 3
    found = passage(f"a:/{number}") if right else passage("b:/other", text="<script>alert(1)</script>")
    return answer(found)


@pytest.fixture
async def report() -> Report:
    asked = [
        *questions(4, language="en", collection="hr"),
        *questions(12, language="ru", collection="hr")[4:],
    ]
    settings = [SearchSettings(), SearchSettings(mode="sparse")]
    gateway = SearchGateway(half_right, documents=tuple(f"a:/{no}" for no in range(11) if no != 3))
    async with gateway.client() as client:
        runs = await measure(client, asked, settings, 4000)
        references = await check_references(client, runs)
    return report_on("my <questions>.jsonl", "2026-01-01T00:00:00+0000", runs, settings, 4000, references)


def test_a_summary_leaves_out_what_was_not_answered_and_says_so(report: Report) -> None:
    first, sparse = report.summaries
    assert (first.asked, first.errors, first.degraded, report.complete) == (12, 1, 1, False)
    assert [(each.id, each.kind) for each in first.problems] == [("4", "error"), ("5", "degraded")]
    assert (first.figures["ndcg10"].mean, first.figures["ndcg10"].questions) == (0.9, 10)
    assert sparse.figures["recall1"].mean == 0.5
    assert {(group.kind, group.name): group.figures["ndcg10"] for group in first.groups} == {
        ("language", "en"): 0.75,
        ("language", "ru"): 1.0,
    }
    assert first.histogram == [1, 0, 0, 0, 0, 0, 0, 0, 0, 9]
    (worst,) = first.worst
    assert (worst.question, worst.expected) == ("question 3", ["a:/3"])
    assert [found.source_uri for found in worst.returned] == ["b:/other"]
    # found, or at least there; question 11's document was found though it is not listed
    assert report.missing == ["a:/11", "a:/3"]


def test_settings_are_compared_on_the_same_questions(report: Report) -> None:
    (comparison,) = report.comparisons
    change = comparison.changes["ndcg10"]
    assert (change.better, change.worse, change.questions) == (0, 4, 10)
    assert change.difference == pytest.approx(-0.4)
    assert change.p_value == pytest.approx(2 / 2**4)
    assert comparison.differences == [-1, -1, -1, -1]


def test_the_report_as_json_is_complete(report: Report) -> None:
    read = json.loads(report.to_json())
    assert read["summaries"][0]["figures"]["ndcg10"]["mean"] == 0.9
    assert read["summaries"][1]["settings"] == {"mode": "sparse"}
    assert read["summaries"][0]["scores"]["3"]["ndcg10"] == 0
    assert set(read["comparisons"][0]["changes"]) == set(read["summaries"][0]["figures"])


def test_the_report_in_a_terminal_warns_before_it_shows_figures(report: Report) -> None:
    console = Console(width=120)
    with console.capture() as captured:
        print_report(report, console)
    text = captured.get()
    assert text.index("1 of 12 questions got no answer") < text.index("nDCG@10")
    assert "too <late>" in text
    assert "not searchable, or misspelt: a:/11, a:/3;" in text
    assert "mode=sparse against defaults" in text
    assert "question 3" in text


class Page(HTMLParser):
    """What a page loads and runs."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.scripts = 0
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script" or any(name.startswith("on") for name, _ in attrs)
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href", "data")]


def test_the_page_needs_nothing_from_elsewhere_and_escapes_what_it_shows(report: Report) -> None:
    page = html_report(report)
    assert (Page(page).loads, Page(page).scripts) == ([], 0)
    assert "url(" not in page
    assert "@import" not in page
    assert "my &lt;questions&gt;.jsonl" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "too &lt;late&gt;" in page
    drawn = ["<svg" + part.split("</svg>")[0] + "</svg>" for part in page.split("<svg")[1:]]
    plots = [ElementTree.fromstring(plot) for plot in drawn]  # noqa: S314 - our own
    assert len(plots) == 4
    assert all(any(shape.tag == "rect" for shape in plot) for plot in plots)


async def test_a_report_on_questions_that_nobody_answered_has_no_figures() -> None:
    settings = [SearchSettings(), SearchSettings(mode="dense")]
    async with SearchGateway(lambda _: problem(504, "too late")).client() as client:
        runs = await measure(client, questions(2), settings, 4000)
    report = report_on("q", "now", runs, settings, 4000, References())
    assert (report.summaries[0].figures, report.summaries[0].errors) == ({}, 2)
    assert "2 of 2 questions got no answer" in html_report(report)
    print_report(report, Console(quiet=True))


async def test_references_that_mean_several_documents_are_named() -> None:
    """Any document of that name counted as found, and nothing said so."""
    documents = ("file:/en/leave.md", "file:/ru/leave.md", "file:/pay.md")
    gateway = SearchGateway(lambda _: answer(passage("file:/ru/leave.md")), documents=documents)
    asked = [
        Question("1", "leave?", {"leave.md": 1.0}, collection="hr"),
        Question("2", "other leave?", {"en/leave.md": 1.0, "pay.md": 1.0}, collection="hr"),
    ]
    async with gateway.client() as client:
        runs = await measure(client, asked, [SearchSettings()], 4000)
        references = await check_references(client, runs)
        all_found = await check_references(client, await measure(client, asked[:1], [SearchSettings()], 4000))
    assert references == References([], {"leave.md": ["file:/en/leave.md", "file:/ru/leave.md"]})
    assert all_found == references
    report = report_on("q", "now", runs, [SearchSettings()], 4000, references)
    console = Console(width=120)
    with console.capture() as captured:
        print_report(report, console)
    assert "any of them counts as found: leave.md" in captured.get()
    assert "leave.md: file:/en/leave.md, file:/ru/leave.md" in captured.get()
    assert "<li>leave.md: file:/en/leave.md, file:/ru/leave.md</li>" in html_report(report)
    assert json.loads(report.to_json())["ambiguous"]["leave.md"] == [*documents[:2]]
