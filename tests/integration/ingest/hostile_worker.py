"""A parser process that does what the file says: the worst of native libraries, on demand."""

import errno
import os
import sys
import time
from collections.abc import Sequence

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.worker import MAX_FILE_BYTES, serve
from rag_ingest.domain.members import Room


def extract(path: str, kind: str, room: Room | None) -> Extracted:
    with open(path, encoding="utf-8") as file:
        order = file.read().removeprefix("<html>")
    match order:
        case "allocate":
            bytearray(1024**4)
        case "abort":
            os.write(2, b"memory allocation of 4096 bytes failed\n")
            os.abort()
        case "spin":
            while True:
                pass
        case "sleep":
            time.sleep(3600)
        case "crash":
            os.write(2, b"double free or corruption\n")
            os.abort()
        case "chatter":
            os.write(1, b"noise on standard output")
        case "write":
            with open(f"{path}.copy", "wb") as copy:
                copy.truncate(MAX_FILE_BYTES + 1)
        case "write a book":
            return _found("x" * 1001)
        case "lie":
            return _found("short", ["x" * 2 * 1024**2])
        case "shortage":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        case "refuse":
            raise BadDocument("I will not.", code="damaged_file")
    return _found(f"{order} by {os.getpid()}")


def _found(text: str, warnings: Sequence[str] = ()) -> Extracted:
    return Extracted(
        text=text, media_type="text/html", parts=[], headings=[], title=None, warnings=list(warnings)
    )


if __name__ == "__main__":
    serve(extract, int(sys.argv[1]))
