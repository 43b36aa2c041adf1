"""Markers in an answer while it is written: each one leads to a sentence of a passage that was sent, or goes.

A marker is one to three digits in brackets, or several numbers: ``[1]``, ``[1, 2]``, ``[1-3]``, ``[^1]``,
``【1†…】``, ``[[1]]``, ``[passage 1]``. A number of a passage that was sent is written ``[n]``; the others
go, with the blanks before them. Left as they stand are ``[2026]`` (four digits), ``[0, 1]``, ``[5-10]`` with
fewer than five passages, ``array[0]`` (a zero behind a letter), ``[Иванов]``, ``[text](link)``, and whatever
is in a code span or a fenced block. Elsewhere ``list[5]`` is a marker, since models also write ``Paris[5]``.
A marker never becomes a Markdown link: where ``(`` follows, or at the beginning of a line ``:``, a blank is
put between.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag_common.contracts import Citation, Passage
from rag_generator.domain.markers import BRACKETS, MAX_CONTENT, UNDECIDED, numbers
from rag_generator.domain.quotes import Quotable, citation, last_sentence, stems

MAX_HELD = 256
"""Characters that are held back at most until it is known what they are."""
_BLANKS_BEFORE = 4
"""Blanks that go with a marker at most."""
_CODE_SPAN = 200
"""Characters of a code span on one line, or after the backticks that begin a block."""
_RUN = 16
"""Backticks or tildes in a row."""
_BLOCK = 3
"""So many begin a block of code."""
_TAIL = 1000
"""Characters of the answer in which the sentence before a marker is looked for."""
_CLAIM_STEMS = 2
"""Fewer words say nothing by themselves."""

_LEFT_OUT = "…"
"""In brackets that are still open, what stands for an unknown marker."""
_NEAR = MAX_CONTENT + 2
_OPEN = re.compile(r"[\[【［][^\]】］\n]*\Z")

_BLANKS = re.compile(r"[ \t\u00a0\u202f]+")
_PLAIN = re.compile(r"[^\[【［`~\n \t\u00a0\u202f]+(?:[ \t\u00a0\u202f]+[^\[【［`~\n \t\u00a0\u202f]+)*")
_TICKS = re.compile(r"`+")


@dataclass(frozen=True, slots=True)
class Cited:
    """Text to be shown, and the citations of markers that appear in it for the first time."""

    text: str
    citations: tuple[Citation, ...] = ()


class MarkerFilter:
    """Checks the markers of one answer. The result does not depend on how the answer is cut into pieces."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._pending = ""
        self._fence = ""
        """The backticks or tildes that end the block of code."""
        self._at_line_start = True
        """Nothing but blanks has come on this line."""
        self._last = ""
        """The character before, as the model wrote it."""
        self._gap = ""
        """Blanks that went with an unknown marker, in case that a known one follows at once."""
        self._skips_blanks = False
        """An unknown marker has gone from the beginning of a line."""
        self._after_marker = ""
        """Characters that would make a link of the marker just shown."""
        self._shown: list[str] = []
        self._near = ""
        """The last characters shown."""
        self._tail = ""
        """The text since the last marker."""
        self._claim: frozenset[str] = frozenset()
        """What the last marker stands behind."""
        self._citations: list[Citation] = []
        self._cited: set[int] = set()

    def feed(self, text: str) -> Cited:
        """What of the text can be shown; at most :data:`MAX_HELD` characters are held back."""
        return self._scan(text, final=False)

    def finish(self) -> Cited:
        """The rest: no text follows."""
        return self._scan("", final=True)

    def _scan(self, text: str, *, final: bool) -> Cited:
        buffer = self._pending + text
        position = 0
        while position < len(buffer):
            after = self._step(buffer, position, final)
            if after is None:
                break
            position = after
            self._last = buffer[position - 1]
        self._pending = buffer[position:]
        shown = Cited("".join(self._shown), tuple(self._citations))
        self._shown, self._citations = [], []
        return shown

    def _step(self, buffer: str, position: int, final: bool) -> int | None:
        """Deals with what stands at a position; where the next begins, or ``None``: it is not known yet."""
        if self._fence:
            return self._in_block(buffer, position, final)
        if buffer[position] == "\n":
            self._show("\n")
            self._at_line_start = True
            return position + 1
        plain = _PLAIN.match(buffer, position)
        if plain is not None:
            self._show_visible(plain.group())
            return plain.end()
        if buffer[position] in "`~":
            return self._code(buffer, position, final)
        return self._bracket(buffer, position, final)

    def _bracket(self, buffer: str, position: int, final: bool) -> int | None:
        """Blanks, and the bracket behind them if there is one."""
        blanks = _BLANKS.match(buffer, position)
        start = blanks.end() if blanks else position
        if self._skips_blanks and blanks:
            return start
        if start - position > _BLANKS_BEFORE:
            self._show(buffer[position : start - _BLANKS_BEFORE])
            return start - _BLANKS_BEFORE
        if start == len(buffer) and not final:
            return None
        if start == len(buffer) or buffer[start] not in "[【［":
            self._show(buffer[position:start])
            return start
        if not final and UNDECIDED.match(buffer, start):
            return None
        return self._marker(buffer, position, start)

    def _marker(self, buffer: str, position: int, start: int) -> int:
        blanks = buffer[position:start]
        match = BRACKETS.match(buffer, start)
        found = numbers(match[1] or match[2], len(self._passages)) if match else None
        if match is None or found is None or (found == [0] and not blanks and self._is_word(self._last)):
            self._show(blanks)
            self._show_visible(buffer[start])
            return start + 1
        known = [n for n in found if 1 <= n <= len(self._passages)]
        if known:
            self._cite(known)
            self._show((self._gap or blanks) + "".join(f"[{n}]" for n in known))
            self._tail = ""
            self._after_marker = "(:" if self._at_line_start else "("
            self._at_line_start = False
        else:
            self._leave_out(blanks)
        return match.end()

    def _leave_out(self, blanks: str) -> None:
        if _OPEN.search(self._near):
            self._show(_LEFT_OUT)  # or the rest of "[[9]7]" would make a marker
        elif self._at_line_start:
            self._show(blanks)
            self._skips_blanks = True
        else:
            self._gap = self._gap or blanks

    @staticmethod
    def _is_word(character: str) -> bool:
        return character.isalnum() or character in ("_", ")", "]")

    def _code(self, buffer: str, position: int, final: bool) -> int | None:
        mark, part = buffer[position], buffer[position : position + _RUN]
        run = part[: len(part) - len(part.lstrip(mark))]
        if run == part and len(part) < _RUN and not final:
            return None
        begins_block = self._at_line_start and len(run) >= _BLOCK
        if mark == "`":
            return self._ticks(buffer, position, run, begins_block, final)
        self._fence = run if begins_block else ""
        self._show_visible(run)
        return position + len(run)

    def _ticks(self, buffer: str, position: int, run: str, begins_block: bool, final: bool) -> int | None:
        """A code span ends on its line, with as many backticks; the first line of a block has no others."""
        start = position + len(run)
        limit = start + _CODE_SPAN
        newline = buffer.find("\n", start, limit)
        line_end = newline if newline >= 0 else min(limit, len(buffer))
        is_known = final or line_end < len(buffer)
        others = False
        for ticks in _TICKS.finditer(buffer, start, line_end):
            if ticks.end() == line_end and not is_known:
                break
            others = True
            if ticks.group() == run:
                self._show_visible(buffer[position : ticks.end()])
                return ticks.end()
        if not is_known:
            return None
        if begins_block and not others and line_end != limit:
            self._fence = run
        self._show_visible(run)
        return start

    def _in_block(self, buffer: str, position: int, final: bool) -> int | None:
        """A block of code ends with a line of its marks, as many as it began with or more."""
        newline = buffer.find("\n", position)
        end = newline + 1 if newline >= 0 else len(buffer)
        line = buffer[position:end].strip(" \t\n")
        if self._at_line_start and len(buffer[position:end]) <= 2 * _RUN and not line.strip(self._fence[0]):
            if newline < 0 and not final:
                return None
            if len(line) >= len(self._fence):
                self._fence = ""
        self._show(buffer[position:end])
        self._at_line_start = newline >= 0
        return end

    def _show_visible(self, text: str) -> None:
        self._show(text)
        self._at_line_start = False

    def _show(self, text: str) -> None:
        if not text:
            return
        if self._after_marker and text[0] in self._after_marker:
            text = " " + text
        self._after_marker = self._gap = ""
        self._skips_blanks = False
        self._shown.append(text)
        self._near = (self._near + text)[-_NEAR:]
        self._tail = (self._tail + text)[-_TAIL:]

    def _cite(self, known: list[int]) -> None:
        claim = stems(last_sentence(self._tail))
        # of "[1][2]" and "[1] and [2]" the second one stands behind the same as the first
        self._claim = claim if len(claim) >= _CLAIM_STEMS else self._claim | claim
        for n in known:
            if n not in self._cited:
                self._cited.add(n)
                self._citations.append(self._citation(n))

    def _citation(self, n: int) -> Citation:
        passage = self._passages[n - 1]
        span = Quotable(passage.text).best(self._claim)
        return citation(n, passage, span.start, span.end)


def without_markers(text: str) -> str:
    """An answer without its markers, which mean nothing beside other passages."""
    markers = MarkerFilter(())
    return markers.feed(text).text + markers.finish().text
