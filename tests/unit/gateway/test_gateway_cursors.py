"""Cursors come back as they went out, and nothing else is one."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_gateway.domain.cursors import (
    BadCursor,
    decode_name,
    decode_number,
    decode_position,
    encode_name,
    encode_number,
    encode_position,
)

moments = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@settings(max_examples=100, deadline=None)
@given(
    moments, st.uuids(), st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True), st.integers(0, 2**31 - 1)
)
def test_a_cursor_comes_back_as_it_went_out(at: datetime, document: UUID, name: str, number: int) -> None:
    assert decode_position(encode_position(at, str(document))) == (at, str(document))
    assert decode_name(encode_name(name)) == name
    assert decode_number(encode_number(number)) == number


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.binary(max_size=40).map(lambda raw: raw.hex())))
def test_junk_is_no_cursor(junk: str) -> None:
    for decode in (decode_position, decode_number):
        with pytest.raises(BadCursor):
            decode(junk + "!")


@pytest.mark.parametrize("decode", [decode_position, decode_name, decode_number])
def test_a_cursor_of_another_list_is_refused(decode: object) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    cursors = {
        decode_position: encode_position(at, str(UUID(int=1))),
        decode_name: encode_name("handbook"),
        decode_number: encode_number(7),
    }
    for other, cursor in cursors.items():
        if other is not decode:
            with pytest.raises(BadCursor):
                decode(cursor)  # type: ignore[operator]


def test_numbers_and_names_that_no_page_has_returned_are_refused() -> None:
    for number in (-1, 2**31):
        with pytest.raises(BadCursor):
            decode_number(encode_number(number))
    with pytest.raises(BadCursor):
        decode_name(encode_name("a\x00b"))
    with pytest.raises(BadCursor):
        decode_position(encode_position(datetime.fromisoformat("2026-01-01"), str(UUID(int=1))))
