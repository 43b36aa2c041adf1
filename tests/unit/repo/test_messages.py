"""What users read exists in Russian, all of it, and is what the package ships."""

import subprocess
from collections.abc import Iterator

import pytest
from babel.messages import Catalog, Message

from rag_common.catalogue import Template
from scripts.collecting import Key
from scripts.messages import (
    MO,
    NOT_CARRIED_OVER,
    PO,
    ROOT,
    collected,
    is_translated,
    mo_bytes,
    po_bytes,
    read,
)

CURE = "run 'make messages', translate what it lists in the .po file, run it again"


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    return read(PO)


def test_the_catalogue_holds_what_the_source_says(catalogue: Catalog) -> None:
    known = {Key(message.id[0] if message.pluralizable else str(message.id), message.context)
             for message in catalogue if message.id}  # fmt: skip
    wanted = set(collected().places)
    assert wanted - known == set(), CURE
    assert known - wanted == set(), CURE


def test_every_message_has_a_translation(catalogue: Catalog) -> None:
    assert [message.id for message in catalogue if message.id and not is_translated(message)] == [], CURE


def test_a_translation_has_the_places_of_its_message(catalogue: Catalog) -> None:
    wrong = [
        (english, russian)
        for english, russian in pairs(catalogue)
        if set(Template.of(english).fields) - NOT_CARRIED_OVER != set(Template.of(russian).fields)
    ]
    assert wrong == []


def test_a_template_can_be_told_from_other_texts(catalogue: Catalog) -> None:
    """Two places side by side, and it is not known where one ends."""
    vague = [
        english
        for message in catalogue
        if message.id and message.context is None
        for english, _ in forms(message)
        if any(literal == "" for literal in Template.of(english).literals[1:-1])
    ]
    assert vague == []


def test_no_latin_letter_hides_in_a_russian_word(catalogue: Catalog) -> None:
    import re

    mixed = re.compile(r"[а-яё][a-z]|[a-z][а-яё]", re.IGNORECASE)
    assert [russian for _, russian in pairs(catalogue) if mixed.search(russian)] == []


def test_the_compiled_catalogue_is_that_of_the_text(catalogue: Catalog) -> None:
    assert MO.read_bytes() == mo_bytes(catalogue), "run 'make messages'"
    assert PO.read_bytes() == po_bytes(catalogue), "run 'make messages'"


def test_the_compiled_catalogue_is_packaged() -> None:
    """The wheel takes what git does not ignore."""
    ignored = subprocess.run(["git", "check-ignore", "-q", MO], cwd=ROOT, check=False)
    assert ignored.returncode == 1
    assert MO.is_relative_to(ROOT / "libs" / "common" / "rag_common")


def pairs(catalogue: Catalog) -> Iterator[tuple[str, str]]:
    """Every English form with each of its translations."""
    for message in catalogue:
        if message.id:
            yield from forms(message)


def forms(message: Message) -> Iterator[tuple[str, str]]:
    strings = [message.string] if isinstance(message.string, str) else list(message.string or [])
    english = message.id[0] if message.pluralizable else str(message.id)
    yield from ((english, russian) for russian in strings)
