"""What ``ragp search`` prints."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from ragp.commands.search import print_passages
from ragp.main import app

PASSAGE: dict[str, Any] = {
    "title": "Fees",
    "source_uri": "upload:/fees.xlsx",
    "page": None,
    "slide": None,
    "sheet": None,
    "rows": None,
    "heading": ["Harbour", "Fees"],
    "text": "Ten euros\nper day",
    "score": 0.5,
    "also_in": [],
}


def printed(capsys: pytest.CaptureFixture[str], **changes: Any) -> str:
    print_passages({"passages": [PASSAGE | changes], "degraded": False})
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ({}, "1. Fees score 0.500"),
        ({"page": 7}, "Fees, page 7 "),
        ({"slide": 3}, "Fees, slide 3 "),
        ({"sheet": "Q[1]", "rows": [4, 9]}, "Fees, sheet Q[1], rows 4-9 "),
        ({"sheet": "Q1", "rows": [4, 4]}, "Fees, sheet Q1, row 4 "),
    ],
)
def test_a_passage_names_its_place(
    capsys: pytest.CaptureFixture[str], place: dict[str, Any], shown: str
) -> None:
    assert shown in printed(capsys, **place)


def test_copies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    copy = {name: PASSAGE[name] for name in ("page", "sheet", "rows")}
    copy |= {"title": "Fees (old)", "source_uri": "file:old.pptx", "slide": 2}
    assert "also in Fees (old), slide 2 file:old.pptx" in printed(capsys, also_in=[copy, copy])


class Gateway(BaseHTTPRequestHandler):
    """Finds nothing; keeps the bodies of the searches."""

    bodies: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"passages": [], "degraded": false}')

    def log_message(self, *_: Any) -> None: ...


@pytest.mark.parametrize(("options", "space"), [([], None), (["--space", "minilm"], "minilm")])
def test_the_space_is_the_caller_s_choice(options: list[str], space: str | None) -> None:
    handler = type("Remembering", (Gateway,), {"bodies": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        result = CliRunner().invoke(app, ["search", "leave?", "--url", url, "--api-key", "k", *options])
        server.shutdown()
        thread.join()
    assert result.exit_code == 0, result.output
    (body,) = handler.bodies  # type: ignore[attr-defined]  # the class was made with it
    assert (body["query"], body["space"]) == ("leave?", space)
