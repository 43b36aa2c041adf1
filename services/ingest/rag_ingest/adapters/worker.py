"""A process that reads files for somebody else, so that a hostile file kills it and nothing else.

One JSON request per line on standard input; each answer is its length as eight bytes, then JSON. An
empty answer comes first, when it is ready.
This module and what it imports stay free of everything that the parser itself does not need.
"""

import contextlib
import errno
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypedDict

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted, Spoiled
from rag_ingest.domain.documents import too_much_text
from rag_ingest.domain.members import MAX_MEMBER_BYTES, Room

LENGTH = struct.Struct(">Q")
OUT_OF_MEMORY = 77
"""Exit status of a process that noticed by itself that its memory was at an end."""

SPOILED = 78
"""Exit status after a damaged file that left a library in a state in which it reads no other one."""

MAX_FILE_BYTES = MAX_MEMBER_BYTES
"""Bytes that it may write to one file: a member of an archive, or a library of 8 MB for kreuzberg."""


class Request(TypedDict):
    """A file to read. The kernel ends the process when it needs more time than it has."""

    path: str
    format: str
    room: tuple[str, int, int] | None
    """Directory, members and bytes for what is inside a container."""
    cpu_seconds: int
    wall_seconds: int
    max_characters: int


class Refused(TypedDict):
    """The file cannot be read; both go to the user."""

    code: str
    message: str


class Unavailable(TypedDict):
    """The system is short of something; the file may be a good one."""

    shortage: str


Extract = Callable[[str, str, Room | None], Extracted]
"""Reads the file at a path in a format, its members into a room; raises :class:`BadDocument`."""


def serve(extract: Extract, memory_bytes: int) -> None:
    """Answer requests until standard input ends; exits by itself when memory runs out."""
    # Whatever a native library prints must not end up between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))
    _send(answers, b"")
    for line in sys.stdin.buffer:
        request: Request = json.loads(line)
        _limit_time(request)
        try:
            # Unescaped: a character takes at most six bytes, most take one or two.
            answer = json.dumps(_answer(extract, request), ensure_ascii=False)
            _send(answers, answer.encode(errors="replace"))
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except Spoiled:
            os._exit(SPOILED)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_time(request: Request) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime) + 1 + request["cpu_seconds"]
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_REAL, request["wall_seconds"])


def _room_of(request: Request) -> Room | None:
    if request["room"] is None:
        return None
    directory, members, size = request["room"]
    return Room(Path(directory), members, size)


def _answer(extract: Extract, request: Request) -> Extracted | Refused | Unavailable:
    try:
        found = extract(request["path"], request["format"], _room_of(request))
        if len(found["text"]) > request["max_characters"]:
            raise too_much_text(request["max_characters"])
    except BadDocument as error:
        return Refused(code=error.code, message=error.message)
    except OSError as error:
        # The limit on written files is ours: a file that reaches it is to blame.
        if error.errno == errno.EFBIG:
            raise
        return Unavailable(shortage=str(error))
    return found


def _send(stream: BinaryIO, body: bytes) -> None:
    stream.write(LENGTH.pack(len(body)))
    stream.write(body)
    stream.flush()


def main() -> None:
    """``python -m rag_ingest.adapters.worker [OPTIONS_OF_OCR] MEMORY_BYTES``; the options are JSON."""
    from rag_ingest.adapters.ocr_options import OcrOptions, configure
    from rag_ingest.adapters.readers import extract

    *options, memory_bytes = sys.argv[1:]
    if options:
        configure(OcrOptions(**json.loads(options[0])))
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        serve(extract, int(memory_bytes))


if __name__ == "__main__":
    main()
