"""JSON, XML, RTF, EPUB, slides and flowing text: what is kept, in which order, and what is refused."""

import io
import textwrap
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import docx
import odfdo
import pptx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pptx.util import Inches
from pydantic_core import to_json

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers import extract

Read = Callable[[bytes | str, str], Extracted]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads bytes, or text in UTF-8, as a file of a format."""

    def read_bytes(data: bytes | str, kind: str) -> Extracted:
        path = tmp_path / "file"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return extract(str(path), kind)

    return read_bytes


def refusal(read: Read, data: bytes | str, kind: str) -> BadDocument:
    with pytest.raises(BadDocument) as caught:
        read(data, kind)
    return caught.value


def archive(members: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return buffer.getvalue()


ORDER = """{"order": {"customer": "Анна", "tags": ["new", "paid"], "sum": 1.50, "note": null, "open": true,
 "items": [{"name": "Стул", "price": 10}, {"name": "Стол", "price": 20}], "by": {"car": "no"}, "car": ""}}"""


def test_json_is_a_line_for_each_value_under_its_names(read: Read) -> None:
    assert read(ORDER, "json")["text"] == (
        "order.customer: Анна\norder.tags: new, paid\norder.sum: 1.50\norder.open: true\n\n"
        "order.items.name: Стул\norder.items.price: 10\n\n"
        "order.items.name: Стол\norder.items.price: 20\n\n"
        "order.by.car: no"
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('{"a": 1}\n\n{"a": 2, "a": 3}\n', "a: 1\n\na: 2\n3"),
        ("[[1, 2], [3]]", "1, 2\n\n3"),
        ('"words"', "words"),
        ('{"a": {"b": {"c": {"d": {"e": "deep"}}}}}', "b.c.d.e: deep"),
        ('{"a": "x\\u0000y \\ud83d\\ude00"}', "a: x\ufffdy 😀"),
        (f'{{"big": {"9" * 5000}}}', f"big: {'9' * 5000}"),
        (f'{{"list": ["{"long " * 10}", "b"]}}', f"list: {'long ' * 10}".strip() + "\nb"),
    ],
)
def test_json_of_all_shapes(read: Read, source: str, text: str) -> None:
    assert read(source, "json")["text"] == text


def test_encoded_bytes_are_left_out_and_reported(read: Read) -> None:
    found = read(to_json({"name": "logo", "data": "iVBORw0KGgo" * 100}), "json")
    assert found["text"] == "name: logo"
    assert "1 values are encoded bytes" in found["warnings"][0]


BASE64 = "iVBORw0KGgo" * 100


@pytest.mark.parametrize(
    "data",
    [
        BASE64,
        f"data:image/png;base64,{BASE64}",
        f"data:image/png;base64,\n  {BASE64}",
        "\n    ".join(textwrap.wrap(BASE64, 76)),
        " ".join(textwrap.wrap(BASE64, 64)),
        "0f" * 200,
    ],
)
def test_encoded_bytes_in_lines_are_left_out(read: Read, data: str) -> None:
    for source, kind in ((to_json({"a": data, "b": "text"}), "json"), (f"<r><a>{data}</a></r>", "xml")):
        found = read(source, kind)
        assert BASE64[:60] not in found["text"]
        assert len(found["warnings"]) == 1


@pytest.mark.parametrize(
    "words",
    [
        "send the form to your manager and wait for two days " * 7,
        "send the form to your manager in 2 days " * 9,
        "one\nword\na\nline\n" * 20,
        "donaudampfschifffahrtsgesellschaftskapitaen\n" * 3 + "and " * 60,
        "a" * 300,
        "9" * 300,
    ],
)
def test_text_without_punctuation_is_no_encoded_bytes(read: Read, words: str) -> None:
    for source, kind in ((to_json({"a": words}), "json"), (f"<r><a>{words}</a></r>", "xml")):
        found = read(source, kind)
        assert found["text"].split() == ["a:", *words.split()]
        assert found["warnings"] == []


# The only control character that JSON does not escape; a short file of such is no text.
json_characters = st.characters(exclude_characters="\x7f", exclude_categories=["Cs"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(json_characters, max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(json_characters, max_size=5), inner, max_size=4)
    ),
    max_leaves=15,
)


def leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [leaf for member in value.values() for leaf in leaves(member)]
    if isinstance(value, list):
        return [leaf for member in value for leaf in leaves(member)]
    return [] if value is None else [str(value).lower() if isinstance(value, bool) else str(value)]


@given(json_values)
def test_no_value_of_json_is_lost(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "file"
    path.write_bytes(to_json(value))
    text = extract(str(path), "json")["text"]
    for leaf in leaves(value):
        assert leaf.replace("\0", "\ufffd").strip() in text


XML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE catalog SYSTEM "http://example.org/none.dtd">
<c:catalog xmlns:c="urn:c" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b">
  <book id="7"><title>Дюна</title><by><first>Frank</first></by><tag>sf</tag><tag>classic</tag></book>
  <book id="8"><about>Some <b>bold</b><i id="x"> text</i> R&amp;D&nbsp;&#8212; <u>more</u>.</about></book>
  <c:note><![CDATA[line 1
     line 2]]></c:note><empty/>
</c:catalog>"""


def test_xml_is_a_line_for_each_text_under_its_names(read: Read) -> None:
    assert read(XML, "xml")["text"] == (
        "book.id: 7\nbook.title: Дюна\nbook.by.first: Frank\nbook.tag: sf\nclassic\n\n"
        "book.id: 8\nbook.about: Some bold text R&D — more.\nnote: line 1\nline 2"
    )


def test_xml_in_another_encoding(read: Read) -> None:
    source = '<?xml version="1.0" encoding="windows-1251"?><письмо>Добрый день, коллеги</письмо>'
    assert read(source.encode("cp1251"), "xml")["text"] == "письмо: Добрый день, коллеги"


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'


@pytest.mark.parametrize(
    ("source", "kind", "code"),
    [
        (LAUGHS, "xml", "unsupported_format"),
        (OUTSIDE, "xml", "unsupported_format"),
        ("<a><b></a>", "xml", "damaged_file"),
        ("<a>" * 1000 + "x" + "</a>" * 1000, "xml", "damaged_file"),
        ("[" * 100_000 + "]" * 100_000, "json", "damaged_file"),
        ("[" * 900 + "1" + "]" * 900, "json", "damaged_file"),
        ('{"a": ', "json", "damaged_file"),
        ('{"a": 1}\n{"a": ', "json", "damaged_file"),
        ("{\\rtf1 " + "{" * 5000, "rtf", "damaged_file"),
        ("{\\rtf1 {\\b words", "rtf", "damaged_file"),
        (archive({"content.xml": LAUGHS}), "odt", "unsupported_format"),
        (archive({"meta.xml": "<x/>"}), "odt", "damaged_file"),
        (
            archive({"content.xml": "?", "META-INF/manifest.xml": "<m><encryption-data/></m>"}),
            "odt",
            "password_protected",
        ),
        (archive({"ppt/presentation.xml": "<x/>"}), "pptx", "damaged_file"),
        (archive({"META-INF/container.xml": "<x/>"}), "epub", "damaged_file"),
    ],
)
def test_what_cannot_be_read_is_refused(read: Read, source: bytes | str, kind: str, code: str) -> None:
    error = refusal(read, source, kind)
    assert error.code == code
    assert error.message.endswith("send it again.")


def test_a_refusal_says_where(read: Read) -> None:
    assert "line 2" in refusal(read, "<a>\n<b></a>", "xml").message
    assert "line 1, column 7" in refusal(read, '{"a": ?}', "json").message


RTF = r"""{\rtf1\ansi\ansicpg1251\deff0{\fonttbl{\f0\fnil\fcharset204 Calibri;}{\f1\fnil\fcharset0 Arial;}}
{\stylesheet{\s1\outlinelevel0 Big;}{\s2 heading 2;}{\*\cs3 heading 3 Char;}}
{\info{\title \'cf\'eb\'e0\'ed}{\author Nobody}}{\header on every page\par}
\pard\s1\f0 \'ce\'f2\'ef\'f3\'f1\'ea\par\pard\s2 Second\par\pard\outlinelevel2 Third\par\pard\plain
\f1 caf\'e9 \u128512?\u-10179?\u-8704? x\-y\_z \{b\}{\v hidden}{\deleted gone}{\*\footnote \pard a note\par}
 tail\par
{\field{\*\fldinst{HYPERLINK "http://x"}}{\fldrslt link}} {\uc2\u1046 ??}\emdash\par
{\listtext\tab 1.}item{\*\unknown {\b not shown}}{\pict\pngblip 8950}\bin3 {{}\par
{\shp{\*\shpinst{\sp{\sn a}{\sv b}}{\shptxt \pard in a box\par}}{\shprslt twice}}after\par
\trowd\intbl A\cell B\par C\cell\row\trowd\intbl\cell\'e9\cell\row\pard end}"""


def test_rtf_keeps_text_headings_notes_and_tables(read: Read) -> None:
    found = read(RTF.encode("latin-1"), "rtf")
    assert found["title"] == "План"
    assert [(level, title) for _, _, level, title in found["headings"]] == [
        (1, "Отпуск"),
        (2, "Second"),
        (3, "Third"),
    ]
    assert found["text"].split("\n\n")[3:] == [
        "café 😀😀 xy-z {b} tail",
        "a note",
        "link Ж—",
        "item",
        "after",
        "in a box",
        "A\tB C\n\té",
        "end",
    ]


def test_rtf_without_its_last_brace_is_read_with_a_warning(read: Read) -> None:
    found = read("{\\rtf1 words\\par", "rtf")
    assert (found["text"], found["warnings"]) == ("words", ["rtf: the end of the file is missing"])


@given(st.text(st.characters(max_codepoint=127) | st.sampled_from("{}\\'*"), max_size=80))
def test_no_rtf_makes_anything_but_text_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, body: str
) -> None:
    path = tmp_path_factory.mktemp("rtf") / "file"
    path.write_bytes(b"{\\rtf1 " + body.encode() + b"}")
    try:
        found = extract(str(path), "rtf")
    except BadDocument:
        return
    assert "\0" not in found["text"]


PAGE = (
    '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="x"/></head><body>{}</body></html>'
)
BOOK = """<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>Книга</dc:title></metadata><manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="two" href="text/two%20b.xhtml" media-type="application/xhtml+xml"/>
<item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/>
<item id="cover" href="cover.png" media-type="image/png"/></manifest>
<spine><itemref idref="cover"/><itemref idref="nav"/><itemref idref="one"/><itemref idref="two"/></spine>
</package>"""
MEMBERS = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": '<c><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></c>',
    "OPS/book.opf": BOOK,
    "OPS/nav.xhtml": PAGE.format("<p>contents</p>"),
    "OPS/text/one.xhtml": PAGE.format('<a id="x"/><h1>Первая</h1><p>one</p>'),
    "OPS/text/two b.xhtml": PAGE.format("<h1>Second</h1><p>two</p>"),
}


def test_chapters_come_in_the_order_of_the_spine(read: Read) -> None:
    found = read(archive(MEMBERS), "zip")
    assert found["title"] == "Книга"
    assert found["text"] == "# Первая\n\none\n\n# Second\n\ntwo"
    assert [found["text"][start:end] for start, end, _, _ in found["headings"]] == ["# Первая", "# Second"]


@pytest.mark.parametrize(("uri", "code"), [("OPS/text/one.xhtml", "password_protected"), ("font.ttf", None)])
def test_a_book_with_locked_chapters_is_refused(read: Read, uri: str, code: str | None) -> None:
    lock = f'<encryption><CipherReference URI="{uri}"/></encryption>'
    locked = archive({**MEMBERS, "META-INF/encryption.xml": lock})
    if code is None:
        assert read(locked, "epub")["text"]
    else:
        assert refusal(read, locked, "epub").code == code


def test_a_slide_has_its_groups_tables_and_no_number(read: Read) -> None:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    box = slide.shapes.add_textbox(Inches(1), Inches(5), Inches(3), Inches(1))
    box.text_frame.text = "first\x0bline\nsecond"
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(3), Inches(1)).text_frame.text = "grouped"
    slide.shapes.title.text = "Named last, read first"
    deck.slides.add_slide(deck.slide_layouts[6])
    untitled = deck.slides.add_slide(deck.slide_layouts[6])
    untitled.shapes.add_textbox(0, 0, Inches(3), Inches(1)).text_frame.text = "untitled"
    buffer = io.BytesIO()
    deck.save(buffer)
    found = read(buffer.getvalue(), "zip")
    assert found["text"] == "Named last, read first\n\nfirst\nline\nsecond\n\ngrouped\n\nuntitled"
    assert [place for _, _, place, _ in found["parts"]] == [{"slide": 1}, {"slide": 3}]
    assert [title for _, _, _, title in found["headings"]] == ["Named last, read first", "", ""]


@pytest.mark.parametrize(
    ("members", "found"),
    [
        (["[Content_Types].xml", "xl/workbook.bin"], "Office file"),
        (["[Content_Types].xml", "visio/document.xml"], "Office file"),
        (["META-INF/MANIFEST.MF", "org/example/Main.class"], "program"),
        (["AndroidManifest.xml", "classes.dex"], "program"),
        (["Index/Document.iwa", "preview.jpg"], "Apple Pages"),
    ],
)
def test_packages_of_other_programs_are_not_taken_apart(read: Read, members: list[str], found: str) -> None:
    error = refusal(read, archive(dict.fromkeys(members, "x")), "zip")
    assert error.code == "unsupported_format"
    assert found in error.message


@pytest.mark.parametrize("declared", ["application/vnd.oasis.opendocument.graphics", "image/openraster"])
def test_packages_of_other_declared_types_are_not_taken_apart(read: Read, declared: str) -> None:
    error = refusal(read, archive({"mimetype": declared, "content.xml": "<x/>"}), "zip")
    assert (error.code, declared in error.message) == ("unsupported_format", True)


@pytest.mark.parametrize(
    "name",
    ["word/documents/letter.txt", "ppt/presentations.txt", "xl/workbook.xml.bak", "a/[Content_Types].xml"],
)
def test_archives_that_only_resemble_packages_are_archives(read: Read, name: str) -> None:
    members = {name: "x", "mimetype": "What these are? See https://example.org.", "META-INF/a.txt": "x"}
    assert read(archive(members), "zip")["media_type"] == "application/zip"


def titled(title: str) -> dict[str, bytes]:
    """The same title in the properties of a document of either family."""
    deck, text = pptx.Presentation(), odfdo.Document("text")
    deck.core_properties.title = title
    text.meta.title = title
    files = {}
    for name, document in (("pptx", deck), ("odt", text)):
        buffer = io.BytesIO()
        document.save(buffer)
        files[name] = buffer.getvalue()
    return files


def test_both_families_of_office_files_have_their_titles(read: Read) -> None:
    for title, shown in ((" Отчёт & план ", "Отчёт & план"), ("", None)):
        found = {kind: read(data, kind)["title"] for kind, data in titled(title).items()}
        assert found == {"pptx": shown, "odt": shown}


def test_the_mark_of_a_note_is_no_text_of_a_docx(read: Read) -> None:
    document = docx.Document()
    document.add_paragraph("before NOTE after")
    buffer = io.BytesIO()
    document.save(buffer)
    with zipfile.ZipFile(buffer) as source:
        members = {name: source.read(name) for name in source.namelist()}
    mark = b'</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r><w:r><w:t>'
    members["word/document.xml"] = members["word/document.xml"].replace(b" NOTE", mark)
    assert read(archive(members), "docx")["text"] == "before after"


def test_notes_of_a_text_stand_after_their_paragraph(read: Read) -> None:
    document = odfdo.Document("text")
    document.body.clear()
    paragraph = odfdo.Paragraph("Before after.")
    paragraph.insert_note(after="Before", note_id="n1", citation="1", body="Сноска.")
    document.body.append(paragraph)
    document.body.append(odfdo.Header(2, "Deeper\twords"))
    buffer = io.BytesIO()
    document.save(buffer)
    found = read(buffer.getvalue(), "zip")
    assert found["text"] == "Before after.\n\nСноска.\n\nDeeper\twords"
    assert found["headings"] == [(24, 36, 2, "Deeper words")]
