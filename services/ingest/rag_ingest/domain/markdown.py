"""Headings of Markdown text, with exact offsets. Needs time linear in the text."""

import re
from collections.abc import Iterator

from rag_ingest.domain.documents import Heading

_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")
_FENCES = ("```", "~~~")
_NOT_A_PARAGRAPH = ("#", ">", "|", "- ", "* ", "+ ")
MAX_TITLE = 300


def markdown_headings(text: str) -> tuple[Heading, ...]:
    """ATX (``# title``) and underlined headings outside code fences and front matter."""
    return tuple(_scan(text))


def _scan(text: str) -> Iterator[Heading]:
    fence: str | None = None
    paragraph_start: int | None = None
    position = _front_matter_end(text)
    for match in _LINE.finditer(text, position):
        start, line = match.start(), match.group().rstrip("\r\n")
        body = line.strip()
        end = start + len(line)
        indented = len(line) - len(line.lstrip(" ")) > 3 or line.startswith("\t")
        if fence is not None:
            if body.startswith(fence) and not body.strip(fence[0]):
                fence = None
        elif not indented and body.startswith(_FENCES):
            fence = _fence_of(body)
            paragraph_start = None
        elif not indented and (heading := _atx(start, end, body)):
            yield heading
            paragraph_start = None
        elif paragraph_start is not None and not indented and (level := _underline_level(body)):
            if title := _clean(text[paragraph_start:start]):
                yield Heading(paragraph_start, end, level, title)
            paragraph_start = None
        else:
            # Only the line right above an underline becomes a title: a long paragraph is rarely meant as one.
            paragraph_start = start if not indented and _may_be_title(body) else None


def _front_matter_end(text: str) -> int:
    if not text.startswith(("---\n", "---\r\n")):
        return 0
    closing = re.compile(r"^(?:---|\.\.\.)[ \t]*\r?$", re.MULTILINE).search(text, 4)
    return closing.end() if closing else 0


def _fence_of(body: str) -> str:
    return body[: len(body) - len(body.lstrip(body[0]))]


def _atx(start: int, end: int, body: str) -> Heading | None:
    if not body.startswith("#"):
        return None
    rest = body.lstrip("#")
    level = len(body) - len(rest)
    if level > 6 or (rest and not rest[0].isspace()):
        return None
    rest = rest.strip()
    without_closing = rest.rstrip("#")
    if without_closing != rest and (not without_closing or without_closing[-1].isspace()):
        rest = without_closing
    title = _clean(rest)
    return Heading(start, end, level, title) if title else None


def _may_be_title(body: str) -> bool:
    return bool(body) and not body.startswith(_NOT_A_PARAGRAPH) and not _underline_level(body)


def _underline_level(body: str) -> int | None:
    if len(body) >= 2 and not body.strip("="):
        return 1
    return 2 if len(body) >= 2 and not body.strip("-") else None


def _clean(title: str) -> str:
    return " ".join(title.split()).strip("*_` ")[:MAX_TITLE]
