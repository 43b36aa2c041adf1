"""What of a text tells its encoding: the characters that are not ASCII, and a little around them."""

import re
from collections.abc import Iterator

_NEAR = 32
"""Characters of ASCII that are kept on each side of those that are not."""
# Possessive: a line of any length is gone through once.
_RUN = re.compile(rf"[^\x00-\x7f]++(?:[\x00-\x09\x0b\x0c\x0e-\x7f]{{0,{2 * _NEAR}}}+[^\x00-\x7f]++)*+")
_LINE_END = re.compile(r"[\r\n]")


def near_non_ascii(text: str, size: int) -> str:
    """At most ``size`` characters: those that are not ASCII from the first on, with their surroundings.

    Stretches that do not touch are on lines of their own. Needs time linear in the text.
    """
    taken: list[str] = []
    room = size
    for stretch in _stretches(text):
        if room <= 0:
            break
        taken.append(stretch[:room])
        room -= len(stretch) + 1
    return "\n".join(taken)


def _stretches(text: str) -> Iterator[str]:
    for run in _RUN.finditer(text):
        before = _LINE_END.split(text[max(run.start() - _NEAR, 0) : run.start()])[-1]
        after = _LINE_END.split(text[run.end() : run.end() + _NEAR])[0]
        yield before + run.group() + after
