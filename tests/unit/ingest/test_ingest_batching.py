"""Batches hold what one message may hold; the fingerprint follows what decides the chunks."""

import base64
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_common.contracts import MAX_MESSAGE_BYTES, ChunkText, DocumentRef, IndexChunks
from rag_ingest.app import fingerprint_of
from rag_ingest.domain.batching import MAX_BATCH_CHUNKS, batch_numbers, embed_messages
from rag_ingest.domain.fingerprint import pipeline_fingerprint
from rag_ingest.settings import IngestSettings

DOCUMENT = DocumentRef(tenant="default", document_id=str(uuid.uuid4()), generation=7)


def numbered(texts: list[str]) -> list[tuple[int, ChunkText]]:
    batches = batch_numbers(texts, document=DOCUMENT, space="minilm")
    return [
        (batch, ChunkText(no=no, text=text))
        for no, (batch, text) in enumerate(zip(batches, texts, strict=True))
    ]


# Control characters take six bytes in JSON, emoji four in UTF-8: the limit is on encoded bytes.
@given(
    st.lists(
        st.sampled_from(["a", "\x01", "Ж", "👩\u200d👧", '"', "\\"]).flatmap(
            lambda unit: st.integers(1, 20_000).map(lambda times: unit * times)
        ),
        max_size=150,
    )
)
@settings(deadline=None, max_examples=40)
def test_every_message_fits_and_every_chunk_is_in_one(texts: list[str]) -> None:
    messages = list(embed_messages(numbered(texts), document=DOCUMENT, space="minilm", lane="bulk"))
    assert [message.batch for message in messages] == list(range(len(messages)))
    assert [chunk.text for message in messages for chunk in message.chunks] == texts
    for message in messages:
        assert len(message.encode()) <= MAX_MESSAGE_BYTES
        assert len(message.chunks) <= MAX_BATCH_CHUNKS


def test_small_chunks_fill_their_batches() -> None:
    assert batch_numbers(["words"] * 66, document=DOCUMENT, space="minilm") == [0] * 32 + [1] * 32 + [2] * 2


def test_the_vectors_of_a_batch_fit_into_one_message() -> None:
    vectors = base64.b64encode(bytes(4 * 2048 * MAX_BATCH_CHUNKS)).decode()
    message = IndexChunks(
        document=DOCUMENT,
        space="s" * 63,
        batch=10**6,
        numbers=tuple(range(10**7, 10**7 + MAX_BATCH_CHUNKS)),
        dimension=2048,
        vectors=vectors,
    )
    assert len(message.encode()) <= MAX_MESSAGE_BYTES


def test_batches_may_come_in_any_order() -> None:
    chunks = numbered(["words"] * 66)
    forwards = list(embed_messages(chunks, document=DOCUMENT, space="minilm", lane="bulk"))
    backwards = list(
        embed_messages(chunks[32:] + chunks[:32], document=DOCUMENT, space="minilm", lane="bulk")
    )
    assert forwards == backwards


def test_the_fingerprint_is_stable_and_short() -> None:
    first = pipeline_fingerprint({"parser": "4.10.4", "chunk_words": 100})
    assert first == pipeline_fingerprint({"chunk_words": 100, "parser": "4.10.4"})
    assert len(first) == 16


@pytest.mark.parametrize("changed", [{"chunk_words": 101}, {"parser": "4.10.5"}, {"extra": 1}])
def test_the_fingerprint_follows_every_part(changed: dict[str, str | int]) -> None:
    parts: dict[str, str | int] = {"parser": "4.10.4", "chunk_words": 100}
    assert pipeline_fingerprint(parts) != pipeline_fingerprint(parts | changed)


def test_only_settings_that_decide_the_chunks_change_the_fingerprint() -> None:
    first = fingerprint_of(IngestSettings())
    assert fingerprint_of(IngestSettings(bulk_workers=3, parser_cpu_seconds=9)) == first
    assert fingerprint_of(IngestSettings(chunk_words=90)) != first
    assert fingerprint_of(IngestSettings(chunk_characters=900)) != first


def test_the_fingerprint_says_what_there_is_of_tesseract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "tesseract"

    def with_tesseract(version: str, *languages: str) -> str:
        listed = "\n".join(["List of available languages:", *languages])
        program.write_text(
            f'#!/bin/sh\ncase "$1" in --version) echo "tesseract {version}";; *) echo "{listed}";; esac\n'
        )
        program.chmod(0o755)
        return fingerprint_of(IngestSettings())

    program.write_text("not to be run")
    found = {
        fingerprint_of(IngestSettings()),
        with_tesseract("5.3.0", "eng"),
        with_tesseract("5.3.0", "eng", "rus"),
        with_tesseract("5.4.0", "eng", "rus"),
    }
    assert len(found) == 4
    assert with_tesseract("5.4.0", "deu", "eng", "rus") in found, "nobody has asked for German"
    assert fingerprint_of(IngestSettings(ocr=False)) not in found
