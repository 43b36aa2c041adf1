"""Titles and names as the registry keeps them: one clean line."""

import re

MAX_TITLE = 2000
"""As long as a title in a message may be."""
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """Nothing that PostgreSQL refuses, or that a terminal would obey. Joiners within emoji stay."""
    return " ".join(_HIDDEN.sub(" ", text).split())


def clean_title(title: str | None) -> str | None:
    """What of a title that was found in a file can be kept."""
    return one_line(title or "")[:MAX_TITLE] or None
