"""What the groups of an RTF file say about their text: where it belongs, its font, its style."""

import codecs
import re
from dataclasses import dataclass, field, replace
from typing import Literal

Destination = Literal["text", "note", "title", "info", "stylesheet", "fonts", "skip"]

# Not the text of the document: tables of the format, pictures, what is on every page, instructions.
_SKIPPED = frozenset(
    (
        *("colortbl", "pict", "object", "objdata", "fldinst", "listtext", "pntext", "nonshppict", "sp"),
        *("header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf"),
        *("annotation", "atnid", "atnauthor", "xe", "tc", "filetbl", "revtbl", "private", "shprslt"),
    )
)
_DESTINATIONS: dict[str, Destination] = {
    "fonttbl": "fonts",
    "stylesheet": "stylesheet",
    "info": "info",
    "footnote": "note",
    "shptxt": "note",
}
# Of the groups that a reader need not know, those whose text is text all the same.
_KNOWN_OPTIONAL = {"shpinst", "nesttableprops", "ud", "footnote", "shptxt"}
_CODE_PAGES = {
    0: "cp1252",
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    134: "gbk",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
}
"""Of the numbers that ``\\fcharset`` gives."""
_CHARACTER_SETS = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
_HEADING_NAME = re.compile(r"(?:heading|заголовок)\s*([1-9])", re.IGNORECASE)
_LEVELS = 9
_UTF_8 = 65001
_LOWEST = 6


@dataclass(slots=True)
class Group:
    """What holds until the closing brace; inner groups inherit it."""

    destination: Destination = "text"
    optional: bool = False
    """``\\*`` was seen: a group that a reader which does not know it shall pass over."""
    font: int | None = None
    style: int = 0
    outline: int | None = None
    in_table: bool = False
    hidden: bool = False
    unicode_skip: int = 1
    """Characters after ``\\u`` that stand in for it."""

    def inner(self) -> "Group":
        return replace(self, optional=False)


@dataclass(slots=True)
class Tables:
    """What the file declares about itself."""

    code_page: str = "cp1252"
    default_font: int | None = None
    fonts: dict[int, str] = field(default_factory=dict)
    """Of each font, the code page of its bytes."""
    levels: dict[int, int] = field(default_factory=dict)
    """Of each style of headings, their level."""
    title: str = ""
    style_name: str = ""

    def end_style(self, group: Group) -> None:
        """The description of a style is complete; its name has been collected."""
        named = _HEADING_NAME.match(self.style_name.strip())
        self.style_name = ""
        if group.outline is not None:
            self.levels[group.style] = group.outline + 1
        elif named:
            self.levels[group.style] = int(named.group(1))

    def level(self, group: Group) -> int:
        """The level of a heading in this group, from 1; 0: it is none."""
        level = self.levels.get(group.style, 0) if group.outline is None else group.outline + 1
        return min(level, _LOWEST) if 0 < level <= _LEVELS else 0


def codec_of(group: Group, tables: Tables) -> str:
    """How the bytes of the group are to be decoded."""
    font = tables.default_font if group.font is None else group.font
    return tables.fonts.get(font, tables.code_page) if font is not None else tables.code_page


def enter(group: Group, tables: Tables, word: str, number: int | None) -> None:
    """What a control word that stands for no text changes."""
    optional, group.optional = group.optional, False
    if group.destination == "skip":
        return
    if word in _SKIPPED or (optional and word not in _KNOWN_OPTIONAL):
        group.destination = "skip"
    elif word in _DESTINATIONS:
        group.destination = _DESTINATIONS[word]
    elif word == "title" and group.destination == "info":
        # A title may come twice: in bytes, and in Unicode.
        group.destination, tables.title = "title", ""
    elif not _set_paragraph(group, word, number):
        _set_characters(group, tables, word, number)


def _set_paragraph(group: Group, word: str, number: int | None) -> bool:
    match word:
        case "pard":
            group.style, group.outline, group.in_table = 0, None, False
        case "s":
            group.style = number or 0
        case "outlinelevel":
            group.outline = number
        case "intbl":
            group.in_table = True
        case _:
            return False
    return True


def _set_characters(group: Group, tables: Tables, word: str, number: int | None) -> None:
    match word:
        case "plain":
            group.font, group.hidden = None, False
        case "v" | "deleted":
            group.hidden = number != 0
        case "uc":
            group.unicode_skip = max(0, number or 0)
        case "f":
            group.font = number
        case "deff":
            tables.default_font = number
        case "fcharset" if number in _CODE_PAGES and group.font is not None:
            tables.fonts[group.font] = _CODE_PAGES[number]
        case "cpg" | "ansicpg" if number is not None:
            _set_code_page(group, tables, word, number)
        case "mac" | "pc" | "pca":
            tables.code_page = _CHARACTER_SETS[word]


def _set_code_page(group: Group, tables: Tables, word: str, number: int) -> None:
    name = "utf-8" if number == _UTF_8 else f"cp{number}"
    try:
        codecs.lookup(name)
    except LookupError:
        # Another program's page; that of the fonts, or the usual one, stands.
        return
    if word == "ansicpg":
        tables.code_page = name
    elif group.font is not None:
        tables.fonts[group.font] = name
