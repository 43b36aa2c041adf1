"""Named values, as JSON and XML hold them: a line for each, under the names that lead to it."""

import re
from collections.abc import Sequence

from rag_ingest.adapters.extracted import TextBuilder
from rag_ingest.domain.formats import Format

_MAX_NAMES = 4
"""Of a path, the innermost names are shown: the outer ones are the same everywhere."""
_DATA_URL = re.compile(r"data:[^,]{0,100},")
_ENCODED = re.compile(r"[A-Za-z0-9+/_=-]{256,}")
_LEAST_LINE = 40
"""Characters of a line of encoded bytes, but the last: programs break them at 64 or 76. Words are shorter."""


class Leaves:
    """Puts the values of a file together, a paragraph for each record."""

    def __init__(self) -> None:
        self.built = TextBuilder()
        self._lines: list[str] = []
        self._path = ""
        self._left_out = 0

    def add(self, names: Sequence[str], value: str) -> None:
        """A value; the path is written where it is another one than on the line before.

        Bytes written as characters (base64, a digest of a picture) are no text, and left out.
        """
        value = value.replace("\0", "\ufffd").strip()
        if not value:
            return
        if _is_encoded(value):
            self._left_out += 1
            return
        path = ".".join(names[-_MAX_NAMES:])
        self._lines.append(value if path == self._path else f"{path}: {value}")
        self._path = path

    def end_record(self) -> None:
        """What follows is about something else."""
        if self._lines:
            self.built.add("\n".join(self._lines))
            self._lines.clear()
        self._path = ""

    def warnings(self, kind: Format) -> list[str]:
        if not self._left_out:
            return []
        return [f"{kind}: {self._left_out} values are encoded bytes, not text, and were left out"]


def _is_encoded(value: str) -> bool:
    address = _DATA_URL.match(value)
    lines = value[address.end() if address else 0 :].split()
    if any(len(line) < _LEAST_LINE for line in lines[:-1]):
        return False
    joined = "".join(lines)
    return _ENCODED.fullmatch(joined) is not None and not (joined.isalpha() or joined.isdecimal())
