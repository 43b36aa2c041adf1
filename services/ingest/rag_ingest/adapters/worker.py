"""A process that reads files for somebody else, so that a hostile file kills it and nothing else.

One JSON request per line on standard input; each answer is its length as eight bytes, then JSON.
This module and what it imports stay free of everything that the parser itself does not need.
"""

import contextlib
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from typing import BinaryIO, TypedDict

from rag_common.errors import BadDocument

LENGTH = struct.Struct(">Q")
OUT_OF_MEMORY = 77
"""Exit status of a process that noticed by itself that its memory was at an end."""


class Request(TypedDict):
    """A file to read. The kernel ends the process when it needs more time than it has."""

    path: str
    format: str
    cpu_seconds: int
    wall_seconds: int


class Extracted(TypedDict):
    """What was found; spans are code points of ``text``. With ``code``: why nothing was."""

    text: str
    pages: list[tuple[int, int, int]]
    headings: list[tuple[int, int, int, str]]
    title: str | None
    warnings: list[str]


class Refused(TypedDict):
    """The file cannot be read; both go to the user."""

    code: str
    message: str


Extract = Callable[[str, str], Extracted]
"""Reads the file at a path in a format; raises :class:`BadDocument`."""


def serve(extract: Extract, memory_bytes: int) -> None:
    """Answer requests until standard input ends; exits by itself when memory runs out."""
    # Whatever a native library prints must not end up between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        request: Request = json.loads(line)
        _limit_time(request)
        try:
            _send(answers, _answer(extract, request))
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_time(request: Request) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime) + 1 + request["cpu_seconds"]
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_REAL, request["wall_seconds"])


def _answer(extract: Extract, request: Request) -> Extracted | Refused:
    try:
        return extract(request["path"], request["format"])
    except BadDocument as error:
        return Refused(code=error.code, message=error.message)


def _send(stream: BinaryIO, answer: Extracted | Refused) -> None:
    body = json.dumps(answer).encode()
    stream.write(LENGTH.pack(len(body)))
    stream.write(body)
    stream.flush()


def main() -> None:
    """``python -m rag_ingest.adapters.worker MEMORY_BYTES``."""
    from rag_ingest.adapters.extraction import extract

    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        serve(extract, int(sys.argv[1]))


if __name__ == "__main__":
    main()
