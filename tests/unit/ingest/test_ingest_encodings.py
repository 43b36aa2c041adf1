"""Text in every encoding that people have: read right, or refused, and never garbage."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_common.errors import BadDocument
from rag_ingest.adapters.decoding import decoded
from rag_ingest.domain.encodings import declared_encoding, encoding_in_markup
from rag_ingest.domain.text import decode_text, is_utf8

CYRILLIC = ("cp1251", "koi8_r", "cp866", "mac_cyrillic", "iso8859_5")
RUSSIAN = """\
Сотруднику полагается ежегодный оплачиваемый отпуск: двадцать восемь календарных дней.
Заявление подают за две недели до начала, а график утверждает руководитель отдела.
Больничный лист можно сдать в бухгалтерию в день выхода на работу; копию храните у себя.
ВНИМАНИЕ! Пропуск в здание выдаёт охрана, и только при предъявлении паспорта.
Командировка в Казань, Тулу или Москву согласуется с А. П. Ивановым не позже пятницы.
Объём хранилища ограничен, поэтому съёмные диски и архивы проверяйте раз в месяц.
Если что-то сломалось, пишите в поддержку: "не работает принтер" - плохое описание.
Цены указаны без учёта налога, счёт действителен в течение пяти рабочих дней.
Южный склад закрыт на ремонт, так что грузы принимает Щёлковская база.
Язык документа не важен: система находит ответ и показывает страницу.
""".splitlines()
WESTERN = {
    "French": "L'été dernier, nous avons reçu près de cinquante élèves à la bibliothèque où ils étudient.",
    "German": "Die Größe der Tür überraschte die Gäste; später öffnete der Hausmeister das große Gebäude.",
    "Spanish": "El niño pidió una canción más, y mañana volverá a España con su compañera de habitación.",
}


@st.composite
def prose(draw: st.DrawFn) -> str:
    """Whole words of the sentences, 40 characters or more."""
    words = " ".join(draw(st.permutations(RUSSIAN))).split()
    start = draw(st.integers(0, len(words) - 12))
    end = start + 1
    while len(" ".join(words[start:end])) < 40:
        end += 1
    return " ".join(words[start : draw(st.integers(end, max(end, len(words))))])


@pytest.mark.parametrize("encoding", CYRILLIC)
@given(text=prose())
@settings(deadline=None, max_examples=60)
def test_forty_bytes_of_russian_prose_are_read_right_or_refused(encoding: str, text: str) -> None:
    try:
        found = decoded(text.encode(encoding))[0]
    except BadDocument:
        # A fragment may fit two pages.
        found = text if len(text) < 80 else ""
    assert found == text


@pytest.mark.parametrize("encoding", CYRILLIC)
@pytest.mark.parametrize("line", RUSSIAN)
def test_every_sentence_is_read_right(encoding: str, line: str) -> None:
    assert decoded(line.encode(encoding)) == (line, ())


@pytest.mark.parametrize("encoding", CYRILLIC)
def test_long_texts_lists_tables_and_capitals(encoding: str) -> None:
    for text in (
        "\r\n".join(RUSSIAN * 20),
        "# Отпуск\n\n- «первое»; \n- второе: 15 %\n\n| Город | Дней |\n|---|---|\n| Тула | 3 |\n",
        "ПРИКАЗ № 5 О НАЗНАЧЕНИИ ОТВЕТСТВЕННОГО ЗА ПОЖАРНУЮ БЕЗОПАСНОСТЬ",
        "def main():\n    # Точка входа: читает настройки и запускает сервер\n    return 0\n" * 3,
    ):
        kept = text.encode(encoding, "ignore")
        assert decoded(kept)[0] == kept.decode(encoding)


def test_frames_of_dos_tables() -> None:
    table = (
        "╔═════════╤═══════╗\r\n║ Название │ Цена ║\r\n╟─────────┼──────╢\r\n"
        "║ Тетрадь │ 45  ║\r\n╚═════════╧═════╝\r\n"
    )
    assert decoded((table * 3).encode("cp866"))[0] == table * 3


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_utf8(mark: bytes) -> None:
    text = "\n".join(RUSSIAN)
    assert decoded(mark + text.encode()) == (text, ())


@pytest.mark.parametrize(
    "text", ["\n".join(RUSSIAN), "Plain English words.", WESTERN["German"], "日本語 and emoji 👍🏽"]
)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_utf16_and_utf32_with_a_mark(text: str, encoding: str) -> None:
    assert decoded(("\ufeff" + text).encode(encoding))[0] == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["\n".join(RUSSIAN), "Plain English words.\r\n", "Привет, мир"])
def test_utf16_without_a_mark(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding))[0] == text


@pytest.mark.parametrize("language", WESTERN)
@pytest.mark.parametrize("encoding", ["cp1252", "latin_1"])
def test_western_text(language: str, encoding: str) -> None:
    assert decoded(WESTERN[language].encode(encoding))[0] == WESTERN[language]
    assert decoded((WESTERN[language] * 30).encode(encoding))[0] == WESTERN[language] * 30


def test_typographic_marks_of_windows_1252() -> None:
    text = "“It’s only five euros — 5 €”, she said… ‘really’." * 2
    assert decoded(text.encode("cp1252"))[0] == text


@pytest.mark.parametrize(
    "text",
    [
        "Temperature 20 °C ± 2 °C, area 15 m²",
        "Total: 100 €",
        "Total: 100 €\n" * 30,
        "Price: 100 €; café – “quoted” text…",
        "Café",
        "© 2024 Acme Corp.",
        "Vi går på tur i skogen hver søndag, også når det regner.",
        "Perché no? La città è bella.",
        "Købmanden på hjørnet sælger æbler.",
        "A reunião começa às dez horas, não é?",
    ],
)
def test_a_few_western_letters_and_signs(text: str) -> None:
    assert decoded(text.encode("cp1252"))[0] == text


@pytest.mark.parametrize("encoding", ["iso8859_2", "cp1250"])
@pytest.mark.parametrize(
    "text",
    [
        "Příliš žluťoučký kůň úpěl ďábelské ódy.",
        "Wniosek należy złożyć dwa tygodnie przed urlopem, a kierownik zatwierdza go do piątku.",
        "A kérelmet két héttel az ünnepek előtt kell benyújtani, és a fűtés megszűnik.",
        "Zamestnanec má nárok na dovolenku; žiadosť podáva dva týždne vopred.",
        "Zahtjev se podnosi dva tjedna prije početka, a što se tiče bolovanja, važi isto.",
    ],
)
def test_central_european_text(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding))[0] == text


@pytest.mark.parametrize(
    "text",
    [
        "העובדים זכאים לחופשה שנתית בתשלום של עשרים ושמונה ימים; את הבקשה מגישים שבועיים מראש.",
        "ירושלים היא עיר הבירה של מדינת ישראל והעיר הגדולה ביותר בה.",
    ],
)
def test_hebrew_is_not_russian_in_capitals(text: str) -> None:
    assert decoded(text.encode("cp1255"))[0] == text


def test_two_hebrew_words_are_refused() -> None:
    assert refusal("שלום עולם".encode("cp1255")) == "unknown_encoding"


@pytest.mark.parametrize("encoding", CYRILLIC)
def test_a_line_that_begins_with_much_ascii(encoding: str) -> None:
    text = f"{'word ' * 2000}{RUSSIAN[0]}"
    assert decoded(text.encode(encoding))[0] == text


def refusal(data: bytes, declared: str | None = None) -> str:
    with pytest.raises(BadDocument) as caught:
        decoded(data, declared)
    return caught.value.code


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_refused(seed: int) -> None:
    noise = random.Random(seed)
    assert refusal(noise.randbytes(400)) in ("not_text", "unknown_encoding")
    assert refusal(bytes(noise.randrange(32, 256) for _ in range(400))) in ("not_text", "unknown_encoding")
    assert refusal(b"\xff\xfe" + noise.randbytes(400)) in ("not_text", "damaged_encoding")


def test_damaged_utf8_is_not_taken_for_a_code_page() -> None:
    data = "\n".join(RUSSIAN).encode()
    assert refusal(data[:500] + b"\xd0" + data[500:]) == "invalid_utf8"
    assert refusal(data[: data.index("я".encode()) + 1]) == "invalid_utf8"
    assert refusal(b"\xef\xbb\xbf" + RUSSIAN[0].encode("cp1251")) == "invalid_utf8"


def test_a_declaration_decides_what_the_content_leaves_open() -> None:
    short = "Тула".encode("mac_cyrillic")
    assert decoded(short, "mac-cyrillic")[0] == "Тула"
    assert decoded("Zażółć gęślą jaźń".encode("cp1250"), "windows-1250")[0] == "Zażółć gęślą jaźń"
    assert decoded("これは日本語".encode("shift_jis"), "shift_jis")[0] == "これは日本語"


@pytest.mark.parametrize(
    "declared", ["koi8-r", "cp866", "latin-1", "utf-8", "utf-16", "no such thing", "zlib", "idna"]
)
def test_content_that_contradicts_the_declaration_wins(declared: str) -> None:
    assert decoded(RUSSIAN[0].encode("cp1251"), declared)[0] == RUSSIAN[0]
    assert decoded(RUSSIAN[0].encode(), declared)[0] == RUSSIAN[0]


def test_where_declarations_stand() -> None:
    assert declared_encoding("text/plain; charset=windows-1251") == "windows-1251"
    assert declared_encoding('text/plain; Charset="KOI8-R"') == "KOI8-R"
    assert declared_encoding("text/plain") is None
    assert declared_encoding(None) is None
    assert encoding_in_markup(b"<html><head><meta charset=cp1251>") == "cp1251"
    page = b"<html><meta http-equiv='Content-Type' content='text/html; charset=koi8-r'>"
    assert encoding_in_markup(page) == "koi8-r"
    assert encoding_in_markup(b'<?xml version="1.0" encoding="windows-1251"?>') == "windows-1251"
    assert encoding_in_markup(b"<p>no charset") is None


def test_utf8_needs_no_library() -> None:
    assert is_utf8("Привет".encode())
    assert not is_utf8("Привет".encode("cp1251"))
    # Without a detector, Cyrillic code pages are still recognised.
    assert decode_text(RUSSIAN[0].encode("koi8_r")) == RUSSIAN[0]
