"""CSV: a line for each record, numbered as spreadsheets number their rows."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rag_ingest.adapters.decoding import decoded
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers.sheets import SheetsBuilder
from rag_ingest.domain.formats import MEDIA_TYPES, Format

_SEPARATORS = "\t;|,"
"""The likelier it is that one is meant, if it occurs at all, the earlier it stands."""
_NONE = "\x1f"
"""Separates nothing: each line is a cell, whatever stands in it."""
_SAMPLE = 64 * 1024
_MAX_LINES_IN_CELL = 200
"""A cell of more lines is none: somewhere a quotation mark was opened and never closed."""


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    decoded_text, decoding_warnings = decoded(path.read_bytes())
    text = decoded_text.replace("\0", "\ufffd")
    separator, start = _declared_separator(text)
    if separator is None:
        separator = _separator(text)
    warnings = list(decoding_warnings)
    sheets = SheetsBuilder()
    quoted = True
    if _has_open_quote(text, separator):
        quoted = False
        warnings.append("csv: a quotation mark is never closed; quotation marks were read as characters")
    for number, cells in enumerate(_records(text[start:], separator, quoted=quoted), 1):
        sheets.add_row(number, [(column, cell) for column, cell in enumerate(cells) if cell])
    sheets.finish()
    return sheets.built.extracted(MEDIA_TYPES[kind], warnings=warnings)


def _records(text: str, separator: str, *, quoted: bool = True) -> Iterator[list[str]]:
    csv.field_size_limit(max(len(text), 1))
    return csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )


def _declared_separator(text: str) -> tuple[str | None, int]:
    """``sep=;`` in the first line is meant for Excel, and no row; and where the rows begin."""
    line = text[:8].splitlines()[:1]
    if line and line[0].lower().startswith("sep=") and len(line[0]) == 5:
        end = len(line[0])
        return line[0][4], end + (2 if text.startswith("\r\n", end) else 1)
    return None, 0


def _separator(text: str) -> str:
    """The one that cuts most records of a sample into the same number of cells, and into more than one."""
    sample = text[:_SAMPLE]
    if len(text) > _SAMPLE:
        sample = sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample
    best, best_share = _NONE, 0.0
    for separator in _SEPARATORS:
        widths = Counter(len(record) for record in _records(sample, separator) if any(record))
        width, records = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        share = records / widths.total() if width > 1 else 0.0
        if share > best_share + 0.05:
            best, best_share = separator, share
    return best


def _has_open_quote(text: str, separator: str) -> bool:
    return any(
        cell.count("\n") > _MAX_LINES_IN_CELL for record in _records(text, separator) for cell in record
    )
