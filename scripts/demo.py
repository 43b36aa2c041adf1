"""``make demo``: start the platform on this machine, ingest the example corpus, search it, ask it, stop."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from rag_ingest.adapters import tesseract
from ragp.stack import DEFAULT_PORT
from ragp.stack.state import port_is_free

COLLECTION = "handbook"
RUSSIAN = Path("examples/corpus/ru")


class Search(NamedTuple):
    """A question, and words that one of its passages must hold."""

    question: str
    expected: str


SEARCHES = (
    Search("How much is the daily allowance on board a vessel?", "90 euros"),
    Search("buoy adrift: how far from its mooring before the alarm is raised?", "350"),
    Search("drift of a barometer since its last calibration", "0.6 hPa"),
    Search("В какой срок сдаётся отчёт о командировке?", "пяти рабочих дней"),
    Search("price of the duplex steel swivel", "KM-2001"),
    Search("Обо что перетёрся трос буя № 214?", "вертлюг"),
)
SCAN = Search("Кто дежурит в новогодние праздники?", "Орлову")
"""Answered by a scanned page, where tesseract is there to read it."""


class Question(NamedTuple):
    """A question, and words that what its answer cites must hold; ``None``: the documents do not say."""

    question: str
    expected: str | None


QUESTIONS = (
    Question("How much is the daily allowance on board a vessel?", "90 euros"),
    Question("В какой срок сдаётся отчёт о командировке?", "пяти рабочих дней"),
    Question("Who won the chess world championship in 1985?", None),
)


class DemoError(Exception):
    """A step did not do what it must."""


def ragp(*arguments: str) -> None:
    """Show a command and run it.

    :raises DemoError: it failed.
    """
    print(f"\n$ ragp {shlex.join(arguments)}", flush=True)
    if subprocess.run(_command(*arguments), env=own_environment(), check=False).returncode != 0:
        raise DemoError(f"'ragp {arguments[0]}' failed; more in: ragp logs")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ragp", *arguments]


def own_environment() -> dict[str, str]:
    """Without the settings that lead to another installation: the examples are for this machine's."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RAGP_") or name == "RAGP_DATA_DIR"
    }


def is_running() -> bool:
    result = subprocess.run(_command("status"), env=own_environment(), capture_output=True, check=False)
    return result.returncode == 0


def search(wanted: Search) -> None:
    """:raises DemoError: no passage holds the expected words."""
    arguments = ("search", wanted.question, "--collection", COLLECTION, "--limit", "3")
    ragp(*arguments)
    command = _command(*arguments, "--json")
    answer = subprocess.run(command, env=own_environment(), stdout=subprocess.PIPE, check=True)
    texts = [" ".join(passage["text"].split()) for passage in json.loads(answer.stdout)["passages"]]
    if not any(wanted.expected in text for text in texts):
        raise DemoError(f"no passage says {wanted.expected!r}")


def ask(wanted: Question) -> None:
    """:raises DemoError: the answer cites nothing with the expected words, or knows what nobody wrote."""
    arguments = ("ask", wanted.question, "--collection", COLLECTION)
    ragp(*arguments)
    command = _command(*arguments, "--json")
    run = subprocess.run(command, env=own_environment(), stdout=subprocess.PIPE, check=True)
    answer = json.loads(run.stdout)
    if answer["answered"] != (wanted.expected is not None):
        raise DemoError("the answer was found where there is none, or not found where there is one")
    quotes = [" ".join(citation["quote"].split()) for citation in answer["citations"]]
    if wanted.expected is not None and not any(wanted.expected in quote for quote in quotes):
        raise DemoError(f"the answer cites nothing that says {wanted.expected!r}")


def show() -> None:
    ragp("ingest", "examples/corpus/en", "--collection", COLLECTION)
    scans = "rus" in installed_languages()
    paths = [RUSSIAN]
    if not scans:
        print("\nWithout tesseract and its Russian data the scanned page stays out: ragp doctor says more.")
        paths = [file for file in sorted(RUSSIAN.iterdir()) if file.suffix != ".png"]
    ragp("drop", *map(str, paths), "--collection", COLLECTION)
    for wanted in (*SEARCHES, SCAN) if scans else SEARCHES:
        search(wanted)
    for question in QUESTIONS:
        ask(question)


def installed_languages() -> frozenset[str]:
    """Those that tesseract can read; none where it is not installed."""
    program = shutil.which("tesseract")
    return tesseract.installed_languages(program) if program else frozenset()


def farewell(started: bool, port: list[str]) -> None:
    lines = [
        (f'ragp ask "who may be on deck?" -c {COLLECTION}', "ask something else"),
        (f"ragp chat -c {COLLECTION}", "ask one question after another"),
        (f"ragp ingest PATH... -c {COLLECTION}", "add files or directories of your own"),
        ("ragp status", "processes, memory, queues"),
        ("ragp key show", "the key for the HTTP API"),
    ]
    if started:
        up = shlex.join(["ragp", "up", "--detach", *port])
        lines = [(up, "start again; the documents are still there"), *lines, ("ragp down", "stop")]
    print("\nThe demo is over. To go on:\n\n  . .venv/bin/activate")
    for command, purpose in lines:
        print(f"  {command:<50}# {purpose}")


def main(arguments: list[str]) -> int:
    """``arguments`` go to ``ragp up``. A platform that runs already is used and left running."""
    started = not is_running()
    if not arguments and not port_is_free(DEFAULT_PORT):
        arguments = ["--port", "0"]
    try:
        if started:
            ragp("up", "--detach", *arguments)
        try:
            show()
        finally:
            if started:
                ragp("down")
    except DemoError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    farewell(started, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
