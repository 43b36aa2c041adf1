"""Which media types are accepted: those that an HTTP header can carry."""

import pytest
from pydantic import ValidationError

from rag_common.contracts import IngestDocument
from rag_common.contracts.documents import InlineContent
from rag_gateway.shapes.documents import NewText

BAD = ["t\u00ebxt/plain", "text", "text/plain\n", "text/pl\u0430in", "", "a" * 101 + "/b"]


def drop(media_type: str) -> IngestDocument:
    return IngestDocument(
        collection="handbook", source_uri="s:/a", content=InlineContent(text="a"), media_type=media_type
    )


@pytest.mark.parametrize("media_type", BAD)
def test_others_are_refused(media_type: str) -> None:
    with pytest.raises(ValidationError):
        NewText(collection="handbook", text="a", media_type=media_type)
    with pytest.raises(ValidationError):
        drop(media_type)


def test_a_drop_may_have_parameters() -> None:
    for media_type in ("text/plain", "text/html; charset=utf-8", "text/csv;header=present"):
        assert drop(media_type).media_type == media_type
    with pytest.raises(ValidationError):
        drop("text/html; charset=\u00fctf")


def test_an_upload_s_type_fits_into_the_ingest_command() -> None:
    longest = "a" * 100 + "/" + "b" * 99
    assert drop(NewText(collection="handbook", text="a", media_type=longest).media_type)
