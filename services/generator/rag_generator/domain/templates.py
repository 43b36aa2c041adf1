"""The texts that prompts are made of: which there are, and what makes one usable."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Literal

from rag_common.errors import PermanentError
from rag_common.languages import script_of

TemplateLanguage = Literal["en", "ru"]
Key = tuple[str, TemplateLanguage]
LANGUAGES: tuple[TemplateLanguage, ...] = ("en", "ru")
PLACEHOLDERS: Mapping[str, tuple[str, ...]] = {
    "system": (),
    "answer": ("passages", "conversation", "question"),
    "rewrite": (),
    "not_found": (),
}
"""The templates by name, with what each must hold exactly once."""
KEYS: tuple[Key, ...] = tuple((name, language) for name in PLACEHOLDERS for language in LANGUAGES)
VERSION = "builtin-1"
"""Of the built-in texts and of everything around them in a prompt: a change of either gets a new number."""
MAX_CHARACTERS = 4000
"""Of one template: it takes its place in the context of every question."""

_STRAY = re.compile(r"\$(?!\$|[A-Za-z_]|\{[A-Za-z_][A-Za-z0-9_]*\})")


class BrokenTemplate(PermanentError):
    """A prompt template of the operator's cannot be used."""

    code = "broken_template"


@dataclass(frozen=True, slots=True)
class Templates:
    """The text of every template, and the version that answers name."""

    texts: Mapping[Key, Template]
    version: str

    @classmethod
    def of(cls, builtin: Mapping[Key, str], own: Mapping[Key, str]) -> "Templates":
        """The operator's ``own`` instead of the built-in ones; both are checked already."""
        changed = {key: text for key, text in own.items() if text != builtin[key]}
        texts = {key: Template(changed.get(key, text)) for key, text in builtin.items()}
        if not changed:
            return cls(texts, VERSION)
        listed = "\0".join(
            f"{name}.{language}\0{changed[name, language]}" for name, language in sorted(changed)
        )
        return cls(texts, f"{VERSION}+{hashlib.sha256(listed.encode()).hexdigest()[:8]}")

    def text(self, name: str, language: TemplateLanguage, **values: str) -> str:
        """A template with its placeholders filled in. Nothing is looked for in the values."""
        return self.texts[name, language].substitute(values)


def template_language(*texts: str) -> TemplateLanguage:
    """The templates for the first of these texts that has letters, by their script: there are some for every
    language, while :func:`rag_generator.domain.language.language_of` also says that it is neither of the two.
    """
    script = next((script for script in map(script_of, texts) if script), None)
    return "ru" if script == "CYRILLIC" else "en"


def checked(name: str, text: str, file: str) -> str:
    """The text without white space around it.

    :raises BrokenTemplate: it cannot be used; says what to change in ``file``.
    """
    text = text.strip()
    if not text:
        raise BrokenTemplate(
            f"the prompt template {file} is empty; write a text, or delete the file for the built-in one"
        )
    if len(text) > MAX_CHARACTERS:
        raise BrokenTemplate(
            f"the prompt template {file} has {len(text)} characters; shorten it to {MAX_CHARACTERS}"
        )
    if stray := _STRAY.search(text.replace("$$", "  ")):
        line = text.count("\n", 0, stray.start()) + 1
        raise BrokenTemplate(
            f"the prompt template {file} has a $ without a name in line {line}; write $$ for a dollar sign"
        )
    _check_placeholders(name, text, file)
    return text


def _check_placeholders(name: str, text: str, file: str) -> None:
    wanted = PLACEHOLDERS[name]
    found = [match["named"] or match["braced"] for match in Template.pattern.finditer(text)]
    for placeholder in dict.fromkeys(filter(None, found)):
        if placeholder not in wanted:
            raise BrokenTemplate(
                f"the prompt template {file} has the unknown placeholder ${placeholder}; remove it, or write"
                f" $${placeholder} for the text itself"
            )
    for placeholder in wanted:
        if found.count(placeholder) != 1:
            raise BrokenTemplate(
                f"the prompt template {file} has ${placeholder} {found.count(placeholder)} times;"
                " write it exactly once"
            )
