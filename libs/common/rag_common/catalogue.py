"""Messages of one language, found by their English text; those with places by their form."""

from collections.abc import Mapping
from string import Formatter
from typing import NamedTuple

_DEPTH = 3
"""How far messages are looked for within messages, and names before one."""
_KEY = 4
"""Beginning of a template by which it is looked up, in characters."""
_PHRASES = frozenset(
    {"error", "error2", "message", "msg", "reason", "problem", "failure", "strerror", "description", "detail"}
    | {"found", "declared", "kind", "reason_phrase", "shortage", "str"}
)
"""Places that a message or a phrase of ours may stand in. In all others are names, paths, ids and numbers,
which are the user's, whatever they look like."""
_SURE = 10
"""Letters of a template that a text is known by: fewer may stand in a name, or in another program's text."""
_MAX_PIECES = 6
"""Of a list in which neighbours are looked at together, for a message that has a semicolon."""


class Template(NamedTuple):
    """``literals[0] {fields[0]} literals[1] …``; there is one literal more than fields."""

    literals: tuple[str, ...]
    fields: tuple[str, ...]

    @classmethod
    def of(cls, msgid: str) -> "Template":
        """:raises ValueError: a brace stands alone."""
        literals, fields = [""], []
        for literal, field, _, _ in Formatter().parse(msgid):
            literals[-1] += literal
            if field is not None:
                fields.append(field)
                literals.append("")
        return cls(tuple(literals), tuple(fields))

    def match(self, text: str) -> dict[str, str] | None:
        """What stands in the places, each as short as it can be; in time linear in the text."""
        first, *between, last = self.literals
        if not (text.startswith(first) and text.endswith(last) and len(text) >= len(first) + len(last)):
            return None
        values, position, end = [], len(first), len(text) - len(last)
        for literal in between:
            found = text.find(literal, position, end)
            if found < 0:
                return None
            values.append(text[position:found])
            position = found + len(literal)
        return dict(zip(self.fields, [*values, text[position:end]], strict=True))

    def filled(self, values: Mapping[str, str]) -> str:
        """The text; a place without a value stays empty."""
        filled = [values.get(field, "") for field in self.fields]
        return "".join(literal + value for literal, value in zip(self.literals, [*filled, ""], strict=True))

    @property
    def weight(self) -> int:
        """Characters that a text must share with it: the more, the surer is a match."""
        return sum(map(len, self.literals))

    @property
    def letters(self) -> int:
        """Of its weight, those that make words."""
        return sum(character.isalpha() for literal in self.literals for character in literal)


_Known = tuple[Template, Template, int]
"""A msgid, its translation, and the letters of the msgid."""


class Catalogue:
    """The messages of one language, as msgid → translation, found by their English text."""

    def __init__(self, messages: Mapping[str, str]) -> None:
        self._exact: dict[str, str] = {}
        by_beginning: dict[str, list[_Known]] = {}
        for msgid, translated in messages.items():
            template, target = Template.of(msgid), Template.of(translated)
            if template.fields:
                known = (template, target, template.letters)
                by_beginning.setdefault(_beginning(template), []).append(known)
            else:
                self._exact[template.literals[0]] = target.literals[0]
        anywhere = by_beginning.pop("", [])
        self._anywhere = sorted(anywhere, key=_by_weight)
        self._by_beginning = {
            beginning: sorted([*templates, *anywhere], key=_by_weight)
            for beginning, templates in by_beginning.items()
        }

    def translate(self, text: str) -> str:
        """The translation, of the pieces where there is none of the whole; else the text."""
        translated = self._list(text, _DEPTH)
        if translated is None and "\n" in text:
            return "\n".join(map(self.translate, text.split("\n")))
        return text if translated is None else translated

    def _list(self, text: str, depth: int, letters: int = 0) -> str | None:
        """One message, or several joined by ``"; "``, of which some are known; ``None`` if none is."""
        if text in self._exact:
            return self._exact[text]
        pieces = text.split("; ")
        known = [self._message(piece, depth, letters) for piece in pieces]
        if len(pieces) == 1 or None not in known:
            return None if None in known else "; ".join(map(str, known))
        if len(pieces) > _MAX_PIECES:
            found = known
        else:
            pieces, found = self._longest(pieces, depth, letters)
        if not any(found):
            return None
        return "; ".join(one or piece for piece, one in zip(pieces, found, strict=True))

    def _longest(self, pieces: list[str], depth: int, letters: int) -> tuple[list[str], list[str | None]]:
        """The pieces, with those put together again that are one message, and their translations."""
        texts: list[str] = []
        found: list[str | None] = []
        begin = 0
        while begin < len(pieces):
            end, text, known = begin + 1, pieces[begin], None
            for last in range(len(pieces), begin, -1):
                joined = "; ".join(pieces[begin:last])
                known = self._message(joined, depth, letters)
                if known is not None:
                    end, text = last, joined
                    break
            texts.append(text)
            found.append(known)
            begin = end
        return texts, found

    def _message(self, text: str, depth: int, letters: int = 0) -> str | None:
        """One message, by the template that begins like it or shares most with it, or one with a name before
        it; ``None`` if it is not known.

        ``letters``: so many a template must have.
        """
        if text in self._exact:
            return self._exact[text]
        for template, target, shared in self._by_beginning.get(text[:_KEY], self._anywhere):
            values = template.match(text) if shared >= letters else None
            if values is not None and not any(_is_list(name, value) for name, value in values.items()):
                named = None if _beginning(template) else self._named(text, depth, letters)
                return named or target.filled(
                    {name: self._value(name, value, depth) for name, value in values.items()}
                )
        return self._named(text, depth, letters)

    def _named(self, text: str, depth: int, letters: int) -> str | None:
        """``name: message``; a name is one word, such as that of a field or a stage."""
        name, colon, rest = text.partition(": ")
        if not (depth and colon) or " " in name:
            return None
        message = self._message(rest, depth - 1, letters)
        return None if message is None else f"{name}: {message}"

    def _value(self, name: str, value: str, depth: int) -> str:
        """A phrase in a place for phrases may be one of ours; a single word is a name or a number."""
        if name not in _PHRASES or not depth or " " not in value:
            return value
        return self._list(value, depth - 1, _SURE) or value


def _is_list(name: str, value: str) -> bool:
    """Whether further messages have come into the place of a name. A log may well have semicolons."""
    return name not in _PHRASES and "; " in value and "\n" not in value


def _by_weight(known: _Known) -> tuple[int, int]:
    """What begins with enough letters goes first: what it holds may be a message that shares more."""
    beginning = len(known[0].literals[0])
    return -beginning if beginning >= _SURE else 0, -known[0].weight


def _beginning(template: Template) -> str:
    """Empty for what begins, or nearly, with a place."""
    first = template.literals[0]
    return first[:_KEY] if len(first) >= _KEY else ""
