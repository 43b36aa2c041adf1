"""Messages travel in English, and are found again when they are to be shown in another language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_common.catalogue import Catalogue, Template
from rag_common.i18n import (
    LANGUAGES,
    MAX_TEXT,
    accepted_language,
    environment_language,
    ngettext,
    translate,
)

WORDS = st.text(st.characters(exclude_characters="{}"), max_size=20)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(
        {
            "The file is empty.": "Файл пуст.",
            "The file is {found}; {known} can be read.": "Файл — {found}, а читаются {known}.",
            "The file is {found}.": "Файл — {found}.",
            "a PNG image": "изображение PNG",
            "must be at most {most}": "не больше {most}",
            "{{}} holds {name}": "в {{}} стоит {name}",
            "{name} is empty": "{name} пуст",
        }
    )


@pytest.mark.parametrize(
    ("english", "russian"),
    [
        ("The file is empty.", "Файл пуст."),
        ("The file is a PNG image; PDF can be read.", "Файл — изображение PNG, а читаются PDF."),
        ("The file is new.", "Файл — new."),
        ("{} holds {x}", "в {} стоит {x}"),
        ("a: b is empty", "a: b пуст"),
        ("a: b: c is empty", "a: b: c пуст"),
        ("a b: c is empty", "a b: c пуст"),
        (
            "ingest: The file is a PNG image; PDF can be read.",
            "ingest: Файл — изображение PNG, а читаются PDF.",
        ),
        ("The file is empty.; who knows", "Файл пуст.; who knows"),
        ("title: must be at most 5; acl.0: must be at most 7", "title: не больше 5; acl.0: не больше 7"),
        ("parsing: The file is empty.", "parsing: Файл пуст."),
        ("The file is empty.\nnobody knows this", "Файл пуст.\nnobody knows this"),
        ("Nobody knows this.", "Nobody knows this."),
        ("", ""),
    ],
)
def test_a_text_is_found_with_what_stands_in_it(catalogue: Catalogue, english: str, russian: str) -> None:
    assert catalogue.translate(english) == russian


def test_a_single_word_in_a_message_is_a_name_and_stays(catalogue: Catalogue) -> None:
    named = Catalogue({"there is no {name}": "нет {name}", "total": "всего"})
    assert named.translate("there is no total") == "нет total"


def test_what_is_not_ours_in_a_message_stays() -> None:
    catalogue = Catalogue(
        {
            "see {value}": "см. {value}",
            "port {port}": "порт {port}",
            "the file": "файл",
            "it is a link": "это ссылка",
            "{names}: not read, {reason}.": "{names}: не прочитан: {reason}.",
            "no search finds {name}": "поиск не находит {name}",
            "{path} cannot be read: {error}": "не удаётся прочесть {path}: {error}",
        }
    )
    for name in (
        "see you.txt",
        "port 80.txt",
        "the file",
        "see a, port 80",
        "it is a link",
    ):
        english = f"{name}: not read, it is a link."
        assert catalogue.translate(english) == f"{name}: не прочитан: это ссылка."
        assert catalogue.translate(f"no search finds {name}") == f"поиск не находит {name}"
        english = f"{name} cannot be read: see you later"
        assert catalogue.translate(english) == f"не удаётся прочесть {name}: see you later"


def test_the_shipped_catalogue_keeps_names() -> None:
    for name in ("see you.txt", "port 80.txt", "The file is empty.", "Not Found"):
        assert f"{name}: не прочитан" in translate(f"{name}: not read, it is a link.", "ru")


@pytest.mark.parametrize(
    ("english", "russian"),
    [
        (
            "only words: no X; that is a pity; only 2 of 9 passages",
            "только слова: нет X; увы; только 2 из 9 текстов",
        ),
        ("who knows; only 2 of 9 passages", "who knows; только 2 из 9 текстов"),
        (
            "only 2 of 9 passages; who knows; only 3 of 9 passages",
            "только 2 из 9 текстов; who knows; только 3 из 9 текстов",
        ),
        ("only words: who knows; only 2 of 9 passages", "только слова: who knows; только 2 из 9 текстов"),
        ("who; knows; this", "who; knows; this"),
    ],
)
def test_known_pieces_of_a_list_are_translated(english: str, russian: str) -> None:
    catalogue = Catalogue(
        {
            "only words: {message}": "только слова: {message}",
            "no {name}; that is a pity": "нет {name}; увы",
            "only {kept} of {count} passages": "только {kept} из {count} текстов",
        }
    )
    assert catalogue.translate(english) == russian


@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, min_size=5, max_size=5))
def test_a_filled_template_matches_and_gives_the_same_text(values: list[str], literals: list[str]) -> None:
    fields = tuple(f"f{number}" for number in range(len(values)))
    template = Template(tuple(literals[: len(values) + 1]), fields)
    text = template.filled(dict(zip(fields, values, strict=True)))
    found = template.match(text)
    assert found is not None
    assert template.filled(found) == text


@given(st.text(max_size=300))
def test_whatever_is_said_can_be_translated(text: str) -> None:
    assert translate(text, "en") == text
    assert isinstance(translate(text, "ru"), str)


@pytest.mark.parametrize(
    "text",
    [
        "no " * 1300,
        ": " * 2000,
        "; " * 2000,
        "The file is " * 330,
        "\n" * 4000,
        "only lexical search: " * 150,
        "; ".join(["only lexical search: not reranked: " * 18] * 6),
    ],
)
def test_a_hostile_text_is_worked_off(text: str) -> None:
    assert len(text) <= MAX_TEXT
    translate(text, "ru")


def test_a_log_is_no_message() -> None:
    log = "The file is empty.\n" * 1000
    assert translate(log, "ru") == log


def test_unknown_languages_are_english() -> None:
    assert translate("The file is empty.", "de") == "The file is empty."


def test_russian_counts_have_three_forms() -> None:
    forms = ("{count} file stored in the queue", "{count} files stored in the queue")
    assert len({ngettext(*forms, count, "ru") for count in (1, 2, 5)}) == 3
    assert ngettext(*forms, 21, "ru") == ngettext(*forms, 1, "ru")
    assert [ngettext(*forms, count, "en") for count in (1, 2)] == list(forms)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("ru", "ru"),
        ("RU-ru", "ru"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"),
        ("en-GB,en;q=0.9,ru;q=0.8", "en"),
        ("ru;q=0.3, en;q=0.7", "en"),
        ("de, fr;q=0.9, ru;q=0.1", "ru"),
        ("de", "en"),
        ("*", "en"),
        ("*;q=0.5, en;q=0.1", "ru"),
        ("en;q=0, *", "ru"),
        ("ru;q=0", "en"),
        ("ru ; q=1.0", "ru"),
        ("ru;q=2", "en"),
        ("ru;q=often, en;q=0.1", "en"),
        ("russian", "en"),
        (",;,-,q=1", "en"),
    ],
)
def test_accept_language_is_negotiated(header: str | None, language: str) -> None:
    assert accepted_language(header) == language


@given(st.text(max_size=200))
def test_any_header_gives_a_language_that_we_have(header: str) -> None:
    assert accepted_language(header) in LANGUAGES


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru"}, "ru"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ru_RU"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": ""}, "ru"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "ru:en"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LANGUAGE": "de:en:ru"}, "en"),
        ({"LANG": "C", "LANGUAGE": "ru"}, "en"),
        ({"LANGUAGE": "ru"}, "en"),
        ({"LANG": "sr_RS@latin"}, "en"),
    ],
)
def test_the_environment_names_the_language(environ: dict[str, str], language: str) -> None:
    assert environment_language(environ) == language
