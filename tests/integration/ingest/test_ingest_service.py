"""Jobs through the running service: what comes out on the other side, and what the registry says."""

import hashlib

import pytest
from ingest_files import handbook_docx, pdf
from ingest_support import Stage, drop, once

from rag_common.contracts import AcceptedContent, DroppedContent, InlineContent
from rag_common.objects import ObjectMissing
from rag_common.registry import Registry
from rag_ingest.domain.batching import MAX_BATCH_CHUNKS

pytestmark = pytest.mark.usefixtures("service")


async def test_an_inline_drop_becomes_chunks_for_the_embedder(stage: Stage, registry: Registry) -> None:
    text = "# Leave\n\nEveryone has 28 days.\n\n# Pay\n\nMonthly.\n"
    await stage.send(drop(text, file_name="leave.md", acl=("group:staff",), metadata={"year": 2026}))
    document = await stage.reaches("embedding")
    (message,) = await stage.embeds(1)
    assert message.document.model_dump() == {
        "tenant": "default", "document_id": document.id, "generation": 1,
    }  # fmt: skip
    assert [(chunk.no, chunk.text) for chunk in message.chunks] == [
        (0, "# Leave\n\nEveryone has 28 days."),
        (1, "Leave\n# Pay\n\nMonthly."),
    ]
    assert (message.lane, message.space) == ("bulk", (await registry.spaces.active()).name)
    assert (document.acl, document.metadata) == (("group:staff",), {"year": 2026})
    assert (document.title, document.media_type) == ("Leave", "text/markdown")
    assert document.chunk_count == 2
    chunks = await registry.documents.chunks("default", document.id, ("group:staff",))
    assert [(chunk.heading, text[chunk.start : chunk.end]) for chunk in chunks] == [
        (("Leave",), chunks[0].text),
        (("Pay",), chunks[1].text),
    ]
    assert await stage.outcomes("embedding") == ["accepted", "parsing", "embedding"]
    await stage.idle()


async def test_the_bytes_of_a_drop_are_kept(stage: Stage, registry: Registry) -> None:
    await stage.send(drop("Kept words."))
    document = await stage.reaches("embedding")
    upload_id = await registry.documents.upload_id("default", document.id)
    stored = await stage.documents.info(upload_id)
    assert stored.sha256 == hashlib.sha256(b"Kept words.").hexdigest() == document.sha256


async def test_a_dropped_object_is_taken_over_and_removed(stage: Stage, registry: Registry) -> None:
    data = b"A line that comes again and again.\n" * 30_000
    await stage.drops.put("big.txt", once(data))
    await stage.send(drop(content=DroppedContent(object="big.txt"), file_name="big.txt"))
    document = await stage.reaches("embedding")
    await stage.idle()
    with pytest.raises(ObjectMissing):
        await stage.drops.info("big.txt")
    upload_id = await registry.documents.upload_id("default", document.id)
    assert (await stage.documents.info(upload_id)).size == len(data) == document.size
    messages = await stage.embeds(-(-(document.chunk_count or 0) // MAX_BATCH_CHUNKS))
    numbers = [chunk.no for message in messages for chunk in message.chunks]
    assert numbers == list(range(document.chunk_count or 0))


async def test_an_accepted_upload_goes_to_the_interactive_lane(stage: Stage) -> None:
    document = await stage.accept(pdf([["First page."], ["Second page."]]), file_name="two.pdf")
    await stage.send(stage.job(document), lane="interactive")
    (message,) = await stage.embeds(1)
    assert message.lane == "interactive"
    assert message.document == document
    assert [chunk.text for chunk in message.chunks] == ["First page.", "Second page."]
    assert (await stage.reaches("embedding", "file:///upload.txt")).title == "two.pdf"


async def test_the_same_bytes_again_are_unchanged(stage: Stage) -> None:
    await stage.send(drop())
    await stage.reaches("embedding")
    await stage.send(drop())
    await stage.outcomes("unchanged")
    await stage.idle()
    await stage.embeds(1)


async def test_the_same_bytes_with_another_acl_are_an_update(stage: Stage) -> None:
    await stage.send(drop())
    document = await stage.reaches("embedding")
    await stage.send(drop(acl=("user:anna",)))
    await stage.outcomes("updated")
    (update,) = await stage.updates(1)
    assert update.document_id == document.id
    assert (await stage.reaches("embedding")).acl == ("user:anna",)
    await stage.embeds(1)


async def test_new_bytes_are_a_new_generation(stage: Stage) -> None:
    await stage.send(drop("Old words."))
    await stage.reaches("embedding")
    await stage.send(drop("New words."))
    messages = await stage.embeds(2)
    assert [message.document.generation for message in messages] == [1, 2]


async def test_the_same_job_queued_again_publishes_again(stage: Stage) -> None:
    document = await stage.accept(b"Some words.")
    await stage.send(stage.job(document), lane="interactive")
    first = await stage.embeds(1)
    await stage.send(stage.job(document), lane="interactive")
    second = await stage.embeds(2)
    assert second == first * 2
    await stage.idle()


async def test_a_job_of_an_overtaken_generation_is_superseded(stage: Stage, registry: Registry) -> None:
    old = await stage.accept(b"Old words.")
    new = await stage.accept(b"New words.")
    await stage.send(stage.job(old), lane="interactive")
    await stage.outcomes("superseded")
    await stage.idle()
    generation = await registry.ingesting.generation(old)
    assert generation is not None
    assert generation.state == "superseded"
    await stage.send(stage.job(new), lane="interactive")
    (message,) = await stage.embeds(1)
    assert message.document == new


async def test_a_job_of_a_deleted_document_does_nothing(stage: Stage, registry: Registry) -> None:
    document = await stage.accept(b"Some words.")
    await registry.documents.delete("default", document.document_id)
    await stage.send(stage.job(document), lane="interactive")
    await stage.idle()
    await stage.embeds(0)


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"", "empty.txt", "empty_file"),
        (b" \n \t", "blank.txt", "no_text"),
        (pdf([["Secret."]], password="secret"), "secret.pdf", "password_protected"),
        (handbook_docx()[:4000], "cut.docx", "damaged_file"),
        (bytes(range(256)) * 8, "noise.txt", "not_text"),
        (b"\xef\xbb\xbfCaf\xe9", "latin.txt", "invalid_utf8"),
        (b"\x89PNG\r\n\x1a\n\x00", "lying.pdf", "damaged_file"),
    ],
)
async def test_a_bad_document_is_a_dead_letter_and_the_lane_goes_on(
    stage: Stage, data: bytes, name: str, code: str
) -> None:
    document = await stage.accept(data, file_name=name)
    await stage.send(stage.job(document), lane="bulk")
    letter = await stage.dead_letter()
    assert (letter.stage, letter.code, letter.document) == ("ingest", code, document)
    await stage.send(drop("The next one."))
    await stage.reaches("embedding")
    await stage.idle()


async def test_a_bad_drop_names_its_document(stage: Stage) -> None:
    await stage.send(drop(content=InlineContent(data="77u/Q2Fm6Q==")))
    letter = await stage.dead_letter()
    document = await stage.document()
    assert document is not None
    assert letter.document is not None
    assert (letter.code, letter.document.document_id) == ("invalid_utf8", document.id)


async def test_an_unknown_collection_is_a_dead_letter_that_leaves_the_object(stage: Stage) -> None:
    await stage.drops.put("one.txt", once(b"Some words."))
    await stage.send(drop(collection="nowhere", content=DroppedContent(object="one.txt")))
    letter = await stage.dead_letter()
    assert (letter.code, letter.document) == ("unknown_collection", None)
    assert (await stage.drops.info("one.txt")).size == 11
    await stage.idle()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/Отпуск 👩\u200d👧.md", "Отпуск 👩\u200d👧.md"),
        ("C:\\secret\\leave.md", "leave.md"),
        ("a\x00b\r\nc\u202e.md", "a b c .md"),
        ("x" * 297 + ".md", "x" * 297 + ".md"),
        ("dir/", None),
    ],
)
async def test_the_file_name_of_a_drop_is_a_name(stage: Stage, given: str, kept: str | None) -> None:
    await stage.send(drop("No heading.", file_name=given))
    document = await stage.reaches("embedding")
    assert (document.file_name, document.title) == (kept, kept or document.source_uri)


async def test_a_missing_object_is_a_dead_letter(stage: Stage) -> None:
    await stage.send(drop(content=DroppedContent(object="nothing.txt")))
    assert (await stage.dead_letter()).code == "object_missing"
    await stage.idle()


async def test_a_tenant_without_a_drop_bucket_does_not_hold_the_lane(stage: Stage) -> None:
    await stage.send(drop(content=DroppedContent(object="any.txt")), tenant="other")
    assert (await stage.dead_letter()).code == "no_drop_bucket"
    await stage.idle()


async def test_the_tenant_is_that_of_the_subject(stage: Stage, registry: Registry) -> None:
    await stage.send(drop(), tenant="other")
    assert (await stage.dead_letter()).code == "unknown_collection"
    await registry.collections.create("other", "handbook")
    await stage.send(drop("Their words."), tenant="other")
    (message,) = await stage.embeds(1)
    assert message.document.tenant == "other"
    assert await stage.document() is None


async def test_nobody_can_fail_the_document_of_another_tenant(stage: Stage) -> None:
    document = await stage.accept(b"Some words.")
    await stage.send(stage.job(document), tenant="other")
    letter = await stage.dead_letter()
    assert (letter.code, letter.document) == ("unknown_document", None)


@pytest.mark.parametrize("document_id", ["nonsense", "5f0c3c3e-0d0c-4b7e-9a57-2f8f3a1b6c9d"])
async def test_a_job_for_no_document_is_a_dead_letter(stage: Stage, document_id: str) -> None:
    await stage.send(drop(content=AcceptedContent(document_id=document_id, generation=1)))
    assert (await stage.dead_letter()).code in ("bad_message", "unknown_document")
    await stage.idle()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"collection": "handbook"}'])
async def test_what_does_not_decode_is_a_dead_letter(stage: Stage, body: bytes) -> None:
    await stage.send(body)
    assert (await stage.dead_letter()).code == "bad_message"
    await stage.idle()
