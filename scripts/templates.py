"""What an expression in the source says, as the templates that gettext knows it by."""

import ast
from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import NamedTuple

Scope = dict[str, ast.expr]
"""Names that are given one value, with it."""
_MOST_FORMS = 8


def msgids(expression: ast.expr, scopes: Sequence[Scope]) -> list[str]:
    """Every text that the expression can give; what is not known before it runs is a ``{place}``.

    Names are looked up in the scopes, the innermost last.
    """
    return [_msgid(form) for form in islice(_forms(expression, scopes), _MOST_FORMS)]


def _forms(expression: ast.expr, scopes: Sequence[Scope]) -> "Iterator[_Form]":
    match expression:
        case ast.Constant(value=str(text)):
            yield (text,)
        case ast.Constant(value=None):
            return
        case ast.JoinedStr(values=parts):
            yield from _joined(parts, scopes)
        case ast.FormattedValue(value=value):
            yield from _forms(value, scopes)
        case ast.BinOp(op=ast.Add(), left=left, right=right) if _is_text(left) or _is_text(right):
            yield from _joined([left, right], scopes)
        case ast.IfExp(body=body, orelse=other):
            yield from _forms(body, scopes)
            yield from _forms(other, scopes)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _forms(value, scopes)
        case ast.Name(id=name) if (known := _text_of(name, scopes)) is not None:
            yield from _forms(known, scopes)
        case _:
            yield (_Place(_place_name(expression), ast.dump(expression)),)


def _joined(parts: Sequence[ast.expr], scopes: Sequence[Scope]) -> "Iterator[_Form]":
    for pieces in product(*(list(_forms(part, scopes)) for part in parts)):
        yield tuple(token for piece in pieces for token in piece)


def _text_of(name: str, scopes: Sequence[Scope]) -> ast.expr | None:
    for scope in reversed(scopes):
        value = scope.get(name)
        if value is not None:
            return value if isinstance(value, ast.IfExp) or _is_text(value) else None
    return None


class _Place(NamedTuple):
    name: str
    source: str
    """The same expression is the same place."""


_Form = tuple[str | _Place, ...]


def _msgid(form: _Form) -> str:
    named: dict[str, str] = {}
    text = ""
    for token in form:
        if isinstance(token, str):
            text += token.replace("{", "{{").replace("}", "}}")
            continue
        if token.source not in named:
            taken = sum(name.rstrip("0123456789") == token.name for name in named.values())
            named[token.source] = f"{token.name}{taken + 1}" if taken else token.name
        text += "{" + named[token.source] + "}"
    return text


def assigned_once(body: Sequence[ast.stmt]) -> Scope:
    """Names that these statements give one value to, with it."""
    values: dict[str, list[ast.expr]] = {}
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign):
                for name, value in _pairs(node.targets[0], node.value):
                    values.setdefault(name, []).append(value)
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                values.setdefault(node.target.id, []).extend([node.value, node.value])
    return {name: found[0] for name, found in values.items() if len(found) == 1}


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """``a, b = x, y`` too."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for each, its in zip(target.elts, value.elts, strict=False):
            yield from _pairs(each, its)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def last_name(node: ast.expr) -> str:
    """``a.b.c`` → ``c``; empty for what has no name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _place_name(node: ast.expr) -> str:
    """What to call the place of an expression: the word in it that says most."""
    match node:
        case ast.Attribute(value=value, attr=("__name__" | "value" | "name")):
            return _place_name(value)
        case ast.Name() | ast.Attribute():
            return last_name(node).strip("_").lower()
        case ast.Call(func=ast.Name(id="len")):
            return "count"
        case ast.Call(func=ast.Attribute(attr="join"), args=[first, *_]) | ast.Call(args=[first, *_]):
            return _place_name(first)
        case ast.Call(func=ast.Attribute(value=value)):
            return _place_name(value)
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Subscript(value=value) | ast.BinOp(left=value) | ast.UnaryOp(operand=value):
            return _place_name(value)
        case _:
            return "value"
