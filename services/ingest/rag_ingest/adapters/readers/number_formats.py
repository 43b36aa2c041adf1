"""Numbers and dates of a spreadsheet as its reader sees them (ECMA-376 part 1, 18.8.30 and 18.8.31).

Two things are left to the reader's own language by the format, and so are written in one way here: groups of
digits are not separated, and the decimal separator is a point.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache

GENERAL = "General"
BUILT_IN: Mapping[int, str] = {
    **dict.fromkeys((1, 3, 37, 38), "0"),
    **dict.fromkeys((2, 4, 39, 40), "0.00"),
    9: "0%",
    10: "0.00%",
    **dict.fromkeys((14, *range(27, 32), 36, *range(50, 59)), "yyyy-mm-dd"),
    15: "d-mmm-yy",
    16: "d-mmm",
    17: "mmm-yy",
    18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM",
    20: "h:mm",
    **dict.fromkeys((21, *range(32, 36)), "h:mm:ss"),
    22: "yyyy-mm-dd h:mm",
    **dict.fromkeys((45, 47), "mm:ss"),
    46: "[h]:mm:ss",
}
"""Formats that a file names by number only. Dates in the order of the reader's country become ISO 8601."""

_MONTHS = (
    (
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    (
        "января",
        "февраля",
        "марта",
        "апреля",
        "мая",
        "июня",
        "июля",
        "августа",
        "сентября",
        "октября",
        "ноября",
        "декабря",
    ),
)
_DAYS = (
    ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье"),
)
_RUSSIAN = re.compile(r"\[\$[^\]]*-[0-9a-f]*419\]", re.IGNORECASE)
# A literal, a symbol of a currency, a note in brackets, what aligns, what is a digit, a date or a character.
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|\[\$(?P<currency>[^\]-]*)[^\]]*\]|\[(?P<elapsed>[hms]+)\]|\[[^\]]*\]'
    r"|[_*].|(?P<general>General)|(?P<half>AM/PM|A/P)|(?P<digits>[0#?.,]+)|(?P<power>E[+-])"
    r"|(?P<date>y+|m+|d+|h+|s+(?:\.0+)?|e+|b+|g+)|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_MAX_CODE = 256
_Token = tuple[str, str]


def shown(value: float, code: str, *, since_1904: bool = False) -> str:
    """The number as the format ``code`` shows it; in the general form where that does not fit it."""
    if code == GENERAL:
        return general(value)
    try:
        tokens, is_date = _section(code[:_MAX_CODE], value)
        if is_date:
            return _date(value, tokens, bool(_RUSSIAN.search(code)), since_1904)
        return _number(value, tokens) or general(value)
    except (InvalidOperation, OverflowError, ValueError):
        return general(value)


def general(value: float) -> str:
    """At most 15 digits: what lies beyond is the error of binary fractions."""
    return f"{value:.15g}"


@lru_cache(maxsize=512)
def _sections(code: str) -> tuple[tuple[_Token, ...], ...]:
    sections: list[list[_Token]] = [[]]
    for match in _TOKEN.finditer(code):
        kind, text = match.lastgroup or "", match.group(match.lastgroup or 0)
        if (kind, text) == ("other", ";"):
            sections.append([])
        elif kind:
            sections[-1].append((kind, text))
    return tuple(map(tuple, sections))


def _section(code: str, value: float) -> tuple[list[_Token], bool]:
    """The part of the format that is for numbers of this sign, and whether it shows a date."""
    sections = _sections(code)
    index = 0
    if value < 0 and len(sections) > 1:
        index = 1
    elif value == 0 and len(sections) > 2:
        index = 2
    tokens = list(sections[index])
    if value < 0 and index == 0:
        tokens.insert(0, ("sign", "-"))
    return tokens, any(kind in ("date", "elapsed") for kind, _ in tokens)


def _number(value: float, tokens: list[_Token]) -> str:
    if any(kind == "general" for kind, _ in tokens):
        return "".join(general(abs(value)) if kind == "general" else text for kind, text in tokens).strip()
    patterns = [text for kind, text in tokens if kind == "digits"]
    words = "".join(text for kind, text in tokens if kind not in ("digits", "power"))
    if not patterns:
        return words.removeprefix("-").strip()
    pattern = "".join(patterns)
    if "/" in words or any(kind == "power" for kind, _ in tokens) or "@" in words:
        return general(value)
    whole, _, decimals = pattern.partition(".")
    amount = abs(Decimal(repr(value))) * 100 ** words.count("%")
    amount /= 1000 ** (len(pattern) - len(pattern.rstrip(",")))
    places = len(decimals.rstrip(","))
    digits = f"{amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"
    integer, _, fraction = digits.partition(".")
    least = decimals.count("0")
    fraction = fraction[:least] + fraction[least:].rstrip("0")
    integer = integer.zfill(whole.count("0"))
    digits = f"{integer}.{fraction}" if fraction else integer
    return "".join(reversed(_in_place(tokens, digits, len(patterns)))).strip()


def _in_place(tokens: list[_Token], digits: str, fields: int) -> list[str]:
    """Last token first: literals as they are, each field the last digits that are left, the first one all."""
    pieces = []
    for kind, text in reversed(tokens):
        if kind == "digits":
            cut = 0 if fields == 1 else max(0, len(digits) - len(text))
            pieces.append(digits[cut:])
            digits, fields = digits[:cut], fields - 1
        else:
            pieces.append(text)
    return pieces


def _date(value: float, tokens: list[_Token], russian: bool, since_1904: bool) -> str:
    if value < 0:
        raise ValueError("no date before the first day")
    # In the calendar of 1900, day 60 is a 29 February that never was; days before it are one lower.
    epoch = datetime(1904, 1, 1) if since_1904 else datetime(1899, 12, 30)  # noqa: DTZ001 - files know no zone
    days = value + 1 if not since_1904 and 1 <= value < 60 else value
    moment = epoch + timedelta(seconds=round(days * 86400, 3))
    if not any(kind == "date" and text.lower().startswith("s") and "." in text for kind, text in tokens):
        moment = (moment + timedelta(milliseconds=500)).replace(microsecond=0)
    halves = any(kind == "half" for kind, _ in tokens)
    pieces = []
    for position, (kind, text) in enumerate(tokens):
        if kind == "elapsed":
            total = round(value * 86400)
            pieces.append(str(total // {"h": 3600, "m": 60, "s": 1}[text[0].lower()]).zfill(len(text)))
        elif kind == "half":
            pieces.append("PM" if moment.hour >= 12 else "AM")
        elif kind == "date":
            minutes = text[0] in "mM" and len(text) <= 2 and _beside_time(tokens, position)
            pieces.append(_field(moment, "n" * len(text) if minutes else text.lower(), russian, halves))
        elif (kind, text) not in (("other", "@"), ("sign", "-")):
            pieces.append(text)
    return "".join(pieces).strip()


def _beside_time(tokens: list[_Token], position: int) -> bool:
    """Whether an ``m`` means minutes: hours come before it, or seconds after it."""
    fields = [
        (index, text[0].lower()) for index, (kind, text) in enumerate(tokens) if kind in ("date", "elapsed")
    ]
    here = next(number for number, (index, _) in enumerate(fields) if index == position)
    before = fields[here - 1][1] if here else ""
    after = fields[here + 1][1] if here + 1 < len(fields) else ""
    return before == "h" or after == "s"


def _field(moment: datetime, field: str, russian: bool, halves: bool) -> str:
    length = len(field)
    match field[0]:
        case "y" | "e":
            return f"{moment.year % 100:02}" if length <= 2 and field[0] == "y" else f"{moment.year:04}"
        case "m" if length > 2:
            name = _MONTHS[russian][moment.month - 1]
            return name[:3] if length == 3 else name
        case "m":
            return str(moment.month).zfill(length)
        case "d" if length > 2:
            name = _DAYS[russian][moment.weekday()]
            return name[: 2 if russian else 3] if length == 3 else name
        case "d":
            return str(moment.day).zfill(length)
        case "h":
            return str((moment.hour + 11) % 12 + 1 if halves else moment.hour).zfill(length)
        case "n":
            return str(moment.minute).zfill(length)
        case "s":
            seconds, _, digits = field.partition(".")
            fraction = f".{moment.microsecond:06}"[: len(digits) + 1] if digits else ""
            return str(moment.second).zfill(len(seconds)) + fraction
    return ""
