"""Which questions are the same question.

Two askers share an answer only if nothing that it depends on differs: the tenant, the set of principals (so
the documents that may be read), the collections, the conversation before, and every option.

A question is compared in Unicode's composed form (NFC), without white space around it, and with one space
for each run of it in a question of one line. Nothing else is folded, since each of these can change what is
asked: case (``IT`` and ``it``), compatibility forms (``10⁶`` and ``106`` are one in NFKC), a final ``?`` (a
statement becomes a question), spaces in a text of several lines (indentation of code).
"""

import hashlib
import json
import unicodedata
from dataclasses import dataclass, fields
from typing import Any

from pydantic import BaseModel

from rag_gateway.domain.answers import Ask

_OF_THE_CALL = {"timeout", "cache"}
"""Say how an answer is waited for, not what it is."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes an answer: answers of the same writer may stand for each other."""

    adapter: str
    model: str | None
    prompt_version: str


def normalised(question: str) -> str:
    """The form in which questions are compared."""
    text = unicodedata.normalize("NFC", question).strip()
    return text if len(text.splitlines()) > 1 else " ".join(text.split())


def sharing_key(ask: Ask) -> str:
    """The same for questions that one running answer will do for. SHA-256 in hexadecimal."""
    return _digest(_inputs(ask))


def cache_key(ask: Ask, writer: Writer) -> str:
    """The same for questions that an answer of this writer will do for. SHA-256 in hexadecimal."""
    return _digest(_inputs(ask) | {"writer": [writer.adapter, writer.model, writer.prompt_version]})


def _inputs(ask: Ask) -> dict[str, Any]:
    """Every field of the question, whichever it may have."""
    values = {field.name: _plain(getattr(ask, field.name)) for field in fields(Ask)}
    return {name: value for name, value in values.items() if name not in _OF_THE_CALL} | {
        "question": normalised(ask.question),
        "collections": sorted(set(ask.collections)),
        "principals": sorted(set(ask.principals)),
    }


def _plain(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _digest(inputs: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
