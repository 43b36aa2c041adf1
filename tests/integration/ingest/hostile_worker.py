"""A parser process that does what the file says: the worst of native libraries, on demand."""

import os
import sys
import time

from rag_common.errors import BadDocument
from rag_ingest.adapters.worker import Extracted, serve


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
        case "refuse":
            raise BadDocument("I will not.", code="damaged_file")
    return Extracted(text=f"{order} by {os.getpid()}", pages=[], headings=[], title=None, warnings=[])


if __name__ == "__main__":
    serve(extract, int(sys.argv[1]))
