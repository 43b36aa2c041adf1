"""Finds in the source what a user may read: the English texts that the catalogue is keyed by."""

import ast
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rag_common.i18n import MARKED
from scripts.templates import Scope, assigned_once, last_name, msgids

_ROOTS = frozenset({"RagError", "CommandError", "Problem", "MissingProgramError"})
"""Whatever derives from these is raised with a message for people."""
_TEXTS: dict[str, tuple[int | str, ...]] = {
    "report": (0,),
    "Problem": (2, "detail"),
    "invalid_field": (1, "message"),
    "render": (3,),
    "FieldError": ("message",),
    "Finding": (1, 2, 3),
    "EncodedQuestion": (3,),
    "unsupported": (0,),
    "_amount": (0, 4),
    "_unavailable": (0,),
    "_problem": (1,),
}
"""Callable → positions and names of its arguments that people read."""
_KEYWORDS = frozenset({"cure", "reason"})
"""Arguments that people read whatever is called, save a logger."""
_RETURNING = frozenset({"__str__", "title_of", "_told"})
"""Functions that return what people read."""
_LOGGERS = frozenset({"_log", "log", "logger"})
_TABLES = frozenset({("rag_ingest/domain/formats.py", "_FOREIGN")})
"""Module constants that hold phrases for messages."""
_LISTS = frozenset({"warnings", "cures", "reasons"})
"""Names of lists and dictionaries of texts that people read."""


_ASSIGNED = frozenset({"failure", "notice"})
"""Names and attributes that are given what people read."""


class Key(NamedTuple):
    """What gettext looks a message up by."""

    msgid: str
    context: str | None = None
    """:data:`MARKED` for what is marked in the code: it is not looked for in texts."""


@dataclass
class Messages:
    """Where each message stands; ``plurals``: the plural form in English."""

    places: dict[Key, set[str]] = field(default_factory=dict)
    plurals: dict[Key, str] = field(default_factory=dict)

    def add(self, msgid: str, place: str, context: str | None = None) -> Key:
        """What has no word of its own is no message, unless it is marked."""
        key = Key(msgid, context)
        if context or re.search(r"[A-Za-z]{2}", re.sub(r"\{\w*\}", "", msgid)):
            self.places.setdefault(key, set()).add(place)
        return key


def collect(files: Sequence[Path], root: Path) -> Messages:
    """The messages of these modules; the places are relative to ``root``."""
    trees = {file.relative_to(root).as_posix(): ast.parse(file.read_text("utf-8")) for file in files}
    errors = _error_classes(trees.values())
    messages = Messages()
    for place, tree in trees.items():
        _Collector(tree, place, errors, messages).visit(tree)
    return messages


def _error_classes(trees: Collection[ast.Module]) -> set[str]:
    bases = {
        node.name: {last_name(base) for base in node.bases}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = set(_ROOTS)
    while more := {name for name, parents in bases.items() if parents & found} - found:
        found |= more
    return found


class _Collector(ast.NodeVisitor):
    """Walks one module; knows in which class and function it is."""

    def __init__(self, tree: ast.Module, place: str, errors: set[str], messages: Messages) -> None:
        self._place = place
        self._errors = errors
        self._messages = messages
        self._scopes: list[Scope] = [assigned_once(tree.body)]
        self._classes: list[str] = []
        self._functions: list[str] = []
        self._validates = any(
            isinstance(node, ast.ImportFrom) and node.module == "pydantic" for node in tree.body
        )

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._classes.append(node.name)
        self.generic_visit(node)
        self._classes.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._functions.append(node.name)
        self._scopes.append(assigned_once(node.body))
        self.generic_visit(node)
        self._scopes.pop()
        self._functions.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - the name that NodeVisitor looks for

    def visit_Assign(self, node: ast.Assign) -> None:
        name = last_name(node.targets[0])
        if name in _LISTS:
            self._add_items(node.value)
        elif name in _ASSIGNED:
            self._add(node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        name = last_name(node.target)
        if node.value is not None and any(
            self._place.endswith(file) and name == each for file, each in _TABLES
        ):
            self._add_strings(node.value)
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and self._functions and self._functions[-1] in _RETURNING:
            self._add(node.value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = last_name(node.func)
        if isinstance(node.func, ast.Name) and name in ("_", "ngettext"):
            self._add_marked(node)
        for argument in self._arguments(node, name):
            self._add(argument)
        for keyword in node.keywords:
            if keyword.arg in _LISTS:
                self._add_items(keyword.value)
        self.generic_visit(node)

    def _arguments(self, node: ast.Call, name: str) -> Iterator[ast.expr]:
        if isinstance(node.func, ast.Attribute):
            owner = last_name(node.func.value)
            if owner in _LOGGERS:
                return
            if name == "append" and owner in _LISTS:
                yield from node.args
        own_message = name == "__init__" and self._classes and self._classes[-1] in self._errors
        wanted = _TEXTS.get(name, (0,) if name in self._errors or own_message or self._refuses(name) else ())
        yield from (node.args[each] for each in wanted if isinstance(each, int) and each < len(node.args))
        for keyword in node.keywords:
            if keyword.arg in wanted or keyword.arg in _KEYWORDS:
                yield keyword.value

    def _refuses(self, name: str) -> bool:
        """pydantic passes the message of a validator's ValueError on."""
        return name == "ValueError" and self._validates

    def _add(self, expression: ast.expr) -> None:
        for msgid in self._msgids(expression):
            self._messages.add(msgid, self._place)

    def _add_strings(self, table: ast.expr) -> None:
        for node in ast.walk(table):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._add(node)

    def _add_items(self, items: ast.expr) -> None:
        match items:
            case ast.List(elts=values) | ast.Tuple(elts=values) | ast.Dict(values=values):
                for value in values:
                    self._add(value)

    def _add_marked(self, node: ast.Call) -> None:
        """``_`` and ``ngettext`` are given templates, as gettext has it, and not texts."""
        texts = [each.value for each in node.args if isinstance(each, ast.Constant)]
        match [text for text in texts if isinstance(text, str)]:
            case [msgid]:
                self._messages.add(msgid, self._place, MARKED)
            case [singular, plural]:
                key = self._messages.add(singular, self._place, MARKED)
                self._messages.plurals[key] = plural
            case _:
                raise SystemExit(f"{self._place}:{node.lineno}: gettext needs literal strings")

    def _msgids(self, expression: ast.expr) -> list[str]:
        return msgids(expression, self._scopes)
