"""A parser process that does what the file says: the worst of native libraries, on demand."""

import errno
import os
import sys
import time

from rag_common.errors import BadDocument
from rag_ingest.adapters.worker import MAX_FILE_BYTES, Extracted, serve


def extract(path: str, kind: str) -> Extracted:
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
            return Extracted(text="x" * 1001, pages=[], headings=[], title=None, warnings=[])
        case "lie":
            warnings = ["x" * 2 * 1024**2]
            return Extracted(text="short", pages=[], headings=[], title=None, warnings=warnings)
        case "shortage":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        case "refuse":
            raise BadDocument("I will not.", code="damaged_file")
    return Extracted(text=f"{order} by {os.getpid()}", pages=[], headings=[], title=None, warnings=[])


if __name__ == "__main__":
    serve(extract, int(sys.argv[1]))
