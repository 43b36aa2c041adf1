"""Text decoded wrongly before it came: mended where that is certain, and nothing else is ever touched."""

import ftfy.bad_codecs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_ingest.adapters.decoding import decoded, parsed_text

ftfy.bad_codecs.ok()

RUSSIAN = "Ежегодный отпуск составляет 28 дней.\nИ спросите «отдел кадров» — он знает…\nЯ уже спросил."
READ_AS = {
    "mac_roman": "Mac Roman",
    "sloppy-windows-1251": "Windows-1251",
    "latin_1": "Latin-1",
    "sloppy-windows-1252": "Windows-1252",
    "cp866": "CP866",
    "koi8_r": "KOI8-R",
    "mac_cyrillic": "Mac Cyrillic",
}


def mended(text: str) -> tuple[str, tuple[str, ...]]:
    return decoded(text.encode())


@pytest.mark.parametrize("page", READ_AS)
def test_russian_utf8_that_was_read_as_a_code_page(page: str) -> None:
    text, warnings = mended(RUSSIAN.encode().decode(page))
    assert text == RUSSIAN
    assert warnings == (
        f"The text had been decoded wrongly before it was sent (UTF-8 was read as {READ_AS[page]});"
        " it was mended.",
    )


@pytest.mark.parametrize("page", ["cp1251", "koi8_r"])
@pytest.mark.parametrize("read_as", ["latin_1", "cp1252"])
def test_a_russian_code_page_that_was_read_as_a_western_one(page: str, read_as: str) -> None:
    meant = "Ежегодный отпуск составляет 28 дней, и его можно делить на части."
    text, warnings = mended(meant.encode(page).decode(read_as))
    assert text == meant
    assert len(warnings) == 1


def test_english_quotes_and_french_words() -> None:
    for meant in (
        "It isn’t “free”, and they’re sure we don’t care.",
        "Café à la crème, déjà vu, très naïve élève",
    ):
        for page in ("sloppy-windows-1252", "latin_1", "mac_roman"):
            assert mended(meant.encode().decode(page))[0] == meant


def test_offsets_and_headings_are_those_of_the_mended_text() -> None:
    source = f"# Отпуск\n\n{RUSSIAN}\n"
    parsed = parsed_text(source.encode().decode("mac_roman").encode(), "markdown")
    assert parsed.text == source
    assert parsed.title == "Отпуск"
    assert parsed.text[parsed.headings[0].start : parsed.headings[0].end].strip() == "# Отпуск"
    assert parsed.warnings


def test_a_broken_line_among_good_ones() -> None:
    line = "Больничный лист сдают в бухгалтерию в день выхода."
    text, warnings = mended(f"{RUSSIAN}\n{line.encode().decode('mac_roman')}\n{RUSSIAN}")
    assert text == f"{RUSSIAN}\n{line}\n{RUSSIAN}"
    assert warnings


@pytest.mark.parametrize(
    "text",
    [
        RUSSIAN,
        "√π, √π/2 and 2√π; (–∞, –π), –∞ to –π",
        "sin√π cos√π tan√π",
        "I see â€™ where an apostrophe should be",
        "Вместо «Привет» видно РџСЂРёРІРµС‚, это UTF-8 в CP1251",
        's = "Ã©"  # not é',
        "Größe, Ärger, Übermut; Åse på øya; ÇA VA; ÑANDÚ; ÞÓRÐUR Æ",
        "Vietnamese: Tiếng Việt; Polish: Zażółć gęślą jaźń; Czech: příliš žluťoučký kůň",
        "Українська ґанок їжак; ქართული; ελληνικά; 日本語; 한국어; עברית; العربية",
        "👍🏽 👨‍👩‍👧 🇷🇺 ☕️ — ok…",
        "│ ├── каталог\n│ └── файл",
        "ª º ¿ ¡ § ¶ © ® ™ ± × ÷ µ",
    ],
)
def test_correct_text_stays_as_it_is(text: str) -> None:
    assert mended(text) == (text, ())
    assert mended(text * 20) == (text * 20, ())


words = st.text(st.characters(categories=("Lu", "Ll", "Lo", "Lt")), min_size=1, max_size=12)
signs = st.sampled_from(list(" \n.,;:!?-—–…«»“”’()[]{}=<>/\\|+*^%$#@&~`'\"0123456789√π∞≈≤≥×°€№👍🏽é ñ"))


@given(st.lists(words | signs, min_size=1, max_size=60).map("".join))
@settings(deadline=None, max_examples=300)
def test_no_text_of_many_scripts_is_touched(text: str) -> None:
    assert mended(text.lstrip("\ufeff") or "x")[1] == ()


letters = st.text(
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ", min_size=1, max_size=10
)


@given(
    st.lists(letters | st.sampled_from(["—", "«да»", "№ 5", "GmbH", "3 °C", "…"]), min_size=3).map(" ".join)
)
@settings(deadline=None, max_examples=300)
def test_no_cyrillic_text_is_touched(text: str) -> None:
    assert mended(text) == (text, ())


@pytest.mark.parametrize("page", ["mac_roman", "sloppy-windows-1251", "latin_1"])
@given(st.lists(letters.filter(lambda word: len(word) > 2), min_size=4, unique=True).map(" ".join))
@settings(deadline=None, max_examples=60)
def test_what_is_mended_is_mended_exactly(page: str, text: str) -> None:
    assert mended(text.encode().decode(page))[0] in (text, text.encode().decode(page))
