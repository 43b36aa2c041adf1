"""What a marker looks like: the numbers that a model puts in brackets after a claim."""

import re

MAX_NUMBER = 999
"""A longer number in brackets is a year or the like."""
MAX_CONTENT = 48
"""Characters between the brackets."""

_IN = rf"[^\[\]【】［］`\n]{{1,{MAX_CONTENT}}}"
BRACKETS = re.compile(rf"\[\[({_IN})\]\]|[\[【［]({_IN})[\]】］]")
"""Something in brackets, maybe a marker."""
UNDECIDED = re.compile(rf"\[\[?\Z|\[\[{_IN}\]?\Z|[\[【［](?:{_IN})?\Z")
"""A beginning of it, at the end of a text: more may follow."""

_WORD = r"(?:passages?|sources?|documents?|docs?|фрагмент(?:ы|а)?|источники?|документы?)?"
_SEPARATOR = r"(?:[,;&–—-]|\band\b|\bи\b)"
_MARKER = re.compile(
    rf"\s*{_WORD}\s*[\^#№]?(?P<numbers>\d{{1,3}}(?:\s*{_SEPARATOR}\s*[\^#№]?\d{{1,3}})*)\s*(?:†.*)?",
    re.IGNORECASE,
)
_NUMBERS = re.compile(r"(\d+)(?:\s*[–—-]\s*[\^#№]?(\d+))?")


def numbers(content: str, known: int) -> list[int] | None:
    """The passages that a marker with this between its brackets refers to, each once; ``None``: it is no
    marker.

    A list with a zero, such as ``[0, 1]``, is an interval or an index; a range that begins behind the last of
    the ``known`` passages, such as ``[5-10]`` mg, says something itself. Of a range ``1-3`` only numbers to
    ``known`` are listed, and all others as they stand.
    """
    match = _MARKER.fullmatch(content)
    if match is None:
        return None
    ranges = [(int(first), int(last or first)) for first, last in _NUMBERS.findall(match["numbers"])]
    if any(0 in pair for pair in ranges) and ranges != [(0, 0)]:
        return None
    if any(0 < known < low < high for low, high in ranges) and all(known < low for low, _ in ranges):
        return None
    found: list[int] = []
    for low, high in ranges:
        found += range(low, min(high, known) + 1) if low < high else (low, high)
    return list(dict.fromkeys(found))
