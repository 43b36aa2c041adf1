"""File names as clients send them, as we keep them, and as we send them back."""

import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_gateway.domain.file_names import (
    MAX_FILE_NAME,
    BadFileName,
    attachment,
    clean_file_name,
    extended_file_name,
)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("leave.txt", "leave.txt"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\anna\\leave.txt", "leave.txt"),
        ("a/b\\c.txt", "c.txt"),
        ("  spaced .txt ", "spaced .txt"),
        ("отпуск 🏖️.txt", "отпуск 🏖️.txt"),
        ("👩‍👩‍👧.txt", "👩‍👩‍👧.txt"),
        ("cafe\u0301.txt", "café.txt"),
        (".hidden", ".hidden"),
        ("...", "..."),
    ],
)
def test_a_name_loses_its_path_and_keeps_its_letters(sent: str, kept: str) -> None:
    assert clean_file_name(sent) == kept


@pytest.mark.parametrize(
    "name", ["", " ", "/", "a/", "a\\", ".", "..", "a/..", "a\x00b", "a\nb", "a\x7f", "\x85x"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BadFileName):
        clean_file_name(name)


@pytest.mark.parametrize("letter", ["x", "ж", "🏖"])
def test_a_name_is_measured_in_characters(letter: str) -> None:
    assert clean_file_name(letter * MAX_FILE_NAME) == letter * MAX_FILE_NAME
    with pytest.raises(BadFileName, match="300"):
        clean_file_name(letter * 300)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_a_kept_name_is_one_clean_component(name: str) -> None:
    try:
        kept = clean_file_name(name)
    except BadFileName:
        return
    assert kept == clean_file_name(kept)
    assert "/" not in kept
    assert "\\" not in kept
    assert not any(unicodedata.category(character) == "Cc" for character in kept)
    assert 0 < len(kept) <= MAX_FILE_NAME


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50))
def test_a_sent_name_is_ascii_and_can_be_read_back(name: str) -> None:
    header = attachment(name)
    assert header.isascii()
    assert header.isprintable()
    plain, _, extended = header.partition("; filename*=UTF-8''")
    assert unquote(extended) == name
    assert plain.count('"') == 2
    assert "\\" not in plain


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('form-data; name="f"; filename="a"; filename*=UTF-8\'\'%D0%B0.txt', "а.txt"),
        ("form-data; filename*=utf-8'en'a%20b", "a b"),
        ("form-data; filename*=iso-8859-1''%E9t%E9", "été"),
        ("form-data; filename=\"x; filename*=UTF-8''no\"", None),
        ('form-data; name="f"; filename="a"', None),
    ],
)
def test_an_extended_parameter_is_decoded(disposition: str, name: str | None) -> None:
    assert extended_file_name(disposition) == name


@pytest.mark.parametrize("value", ["UTF-8''%FF", "klingon''a"])
def test_an_extended_parameter_that_cannot_be_decoded_is_refused(value: str) -> None:
    with pytest.raises(BadFileName):
        extended_file_name(f"form-data; filename*={value}")
