"""Where in its document a text is, for people."""

from collections.abc import Iterator
from typing import Any

from ragp.language import _


def place(found: dict[str, Any]) -> Iterator[str]:
    """``sheet Fees``, ``rows 4-9``: of a chunk or a passage, as the API shows it."""
    if found["page"] is not None:
        yield _("page {page}").format(page=found["page"])
    if found["slide"] is not None:
        yield _("slide {slide}").format(slide=found["slide"])
    if found["sheet"] is not None:
        yield _("sheet {sheet}").format(sheet=found["sheet"])
    if found["rows"] is not None:
        first, last = found["rows"]
        rows = _("row {first}") if first == last else _("rows {first}-{last}")
        yield rows.format(first=first, last=last)
