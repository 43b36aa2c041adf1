"""Jobs that are interrupted, repeated or overtaken: the use case on the real registry and object store."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ingest_jobs import Claims, MakeIngest, Queue, again, later
from ingest_support import Stage, drop, once

from rag_common.contracts import (
    CollectionSettings,
    DocumentRef,
    DroppedContent,
    EmbedChunks,
    SplittingSettings,
    UpdateIndexedDocument,
)
from rag_common.errors import PermanentError, TransientError
from rag_common.objects import ObjectMissing
from rag_common.registry import ChunkRow, Registry
from rag_common.spaces import E5_SMALL, Space
from rag_ingest.adapters.registry import IngestRegistry
from rag_ingest.domain.ingest import Ingest
from rag_ingest.domain.ports import Delivery
from ragp.filling import embed_messages


async def test_a_drop_that_died_before_publishing_is_published_by_its_redelivery(
    ingest: Ingest, queue: Queue, delivery: Delivery, stage: Stage
) -> None:
    queue.closed = True
    with pytest.raises(TransientError):
        await ingest.run(drop("Some words."), delivery)
    queue.closed = False
    await ingest.run(drop("Some words."), again(delivery))
    assert queue.texts() == [["Some words."]]
    document = await stage.reaches("embedding")
    assert document.generation == 1


async def test_a_dropped_object_that_was_taken_over_is_not_missed(
    ingest: Ingest, queue: Queue, delivery: Delivery, stage: Stage, claims: Claims
) -> None:
    await stage.drops.put("one.txt", once(b"Some words."))
    queue.closed = True
    message = drop(content=DroppedContent(object="one.txt"))
    with pytest.raises(TransientError):
        await ingest.run(message, delivery)
    queue.closed = False
    await ingest.run(message, again(delivery))
    assert queue.texts() == [["Some words."]]
    assert claims[-1] == claims[0]


async def test_a_count_of_attempts_that_starts_anew_misses_nothing(
    ingest: Ingest, queue: Queue, delivery: Delivery, stage: Stage
) -> None:
    """A nats-server that crashed may deliver for the first time again."""
    await stage.drops.put("one.txt", once(b"Some words."))
    queue.closed = True
    message = drop(content=DroppedContent(object="one.txt"))
    with pytest.raises(TransientError):
        await ingest.run(message, delivery)
    queue.closed = False
    await ingest.run(message, delivery)
    assert queue.texts() == [["Some words."]]


@pytest.mark.parametrize(
    "second",
    [
        ("Some words.", 1000, {}),
        ("Some words.", 1000, {"acl": ("user:anna",)}),
        ("Old words.", -1000, {}),
    ],
    ids=["unchanged", "updated", "superseded"],
)
async def test_a_dropped_object_that_made_no_generation_is_not_missed(
    ingest: Ingest, queue: Queue, delivery: Delivery, stage: Stage, second: tuple[str, int, dict[str, Any]]
) -> None:
    text, nanoseconds, fields = second
    await ingest.run(drop("Some words."), delivery)
    await stage.drops.put("two.txt", once(text.encode()))
    message, late = drop(content=DroppedContent(object="two.txt"), **fields), later(delivery, nanoseconds)
    await ingest.run(message, late)
    published = len(queue.published)
    await ingest.run(message, again(late))
    await ingest.run(message, late)
    assert len(queue.published) == published


async def test_a_dropped_object_of_a_deleted_document_is_not_missed(
    ingest: Ingest, queue: Queue, delivery: Delivery, stage: Stage, registry: Registry, claims: Claims
) -> None:
    await ingest.run(drop("Some words."), delivery)
    await registry.documents.delete("default", claims.last().document_id)
    await stage.drops.put("two.txt", once(b"Other words."))
    message, late = drop(content=DroppedContent(object="two.txt")), later(delivery)
    await ingest.run(message, late)
    await ingest.run(message, again(late))
    assert len(queue.published) == 1


async def test_an_object_that_never_came_is_missed(ingest: Ingest, delivery: Delivery, stage: Stage) -> None:
    await ingest.run(drop("Some words."), delivery)
    message = drop(content=DroppedContent(object="none.txt"))
    with pytest.raises(ObjectMissing):
        await ingest.run(message, later(delivery))


async def test_drops_at_one_time_have_uploads_of_their_own(
    ingest: Ingest, delivery: Delivery, stage: Stage
) -> None:
    """Another stream, or one that was made anew, may count the same way."""
    await ingest.run(drop("One.", source_uri="file:///one"), delivery)
    await ingest.run(drop("Two.", source_uri="file:///two"), delivery)
    names = [name async for name in stage.documents.names()]
    assert len(names) == 2


async def test_a_drop_that_died_while_it_was_parsed_starts_over(
    ingest: Ingest, queue: Queue, delivery: Delivery, stage: Stage, registry: Registry, claims: Claims
) -> None:
    await ingest.run(drop("Some words."), delivery)
    document = claims.last()
    queue.published.clear()
    async with registry.database.connection() as connection:
        await connection.execute(
            "UPDATE generations SET state = 'parsing' WHERE document_id = $1", document.document_id
        )
    await ingest.run(drop("Some words."), again(delivery))
    assert queue.texts() == [["Some words."]]
    chunks = await registry.ingesting.chunks(document)
    assert [chunk.text for chunk in chunks] == ["Some words."]


async def test_an_update_that_died_before_publishing_is_published_by_its_redelivery(
    ingest: Ingest, queue: Queue, delivery: Delivery
) -> None:
    await ingest.run(drop(), delivery)
    queue.published.clear()
    queue.closed = True
    changed = later(delivery)
    with pytest.raises(TransientError):
        await ingest.run(drop(acl=("user:anna",)), changed)
    queue.closed = False
    await ingest.run(drop(acl=("user:anna",)), again(changed))
    assert [type(message) for message in queue.published] == [UpdateIndexedDocument]


async def test_an_older_drop_after_a_newer_one_is_superseded(
    ingest: Ingest, queue: Queue, delivery: Delivery, stage: Stage
) -> None:
    await ingest.run(drop("New words."), later(delivery))
    await ingest.run(drop("Old words."), delivery)
    assert queue.texts() == [["New words."]]
    assert queue.outcomes[-1] == "superseded"
    document = await stage.document()
    assert document is not None
    assert document.generation == 1


async def test_an_overtaken_object_is_removed_from_the_drop_bucket(
    ingest: Ingest, delivery: Delivery, stage: Stage
) -> None:
    await ingest.run(drop("New words."), later(delivery))
    await stage.drops.put("old.txt", once(b"Old words."))
    await ingest.run(drop(content=DroppedContent(object="old.txt")), delivery)
    assert [name async for name in stage.drops.names()] == []


async def test_a_drop_redelivered_after_a_delete_brings_nothing_back(
    ingest: Ingest, queue: Queue, delivery: Delivery, stage: Stage, registry: Registry, claims: Claims
) -> None:
    await ingest.run(drop("Some words."), delivery)
    await registry.documents.delete("default", claims.last().document_id)
    queue.published.clear()
    await ingest.run(drop("Some words."), again(delivery))
    assert queue.published == []
    assert await stage.document() is None


async def test_replace_during_ingest_gives_the_old_generation_up(
    ingest: Ingest, queue: Queue, stage: Stage, delivery: Delivery, registry: Registry
) -> None:
    old = await stage.accept(b"Old words.")
    await registry.ingesting.begin(old, 1)
    await stage.accept(b"New words.")
    await ingest.run(stage.job(old), delivery)
    generation = await registry.ingesting.generation(old)
    assert generation is not None
    assert generation.state == "superseded"
    assert queue.published == []


async def test_the_second_of_two_deliveries_at_once_publishes_what_the_first_committed(
    make_ingest: MakeIngest, queue: Queue, stage: Stage, delivery: Delivery, registry: Registry
) -> None:
    document = await stage.accept(b"Some words.")
    ingest = make_ingest(_CommitsFirst(registry, document))
    await ingest.run(stage.job(document), delivery)
    assert queue.texts() == [["Committed by another delivery."]]


async def test_delete_during_ingest_ends_without_a_failure(
    make_ingest: MakeIngest, queue: Queue, stage: Stage, delivery: Delivery, registry: Registry
) -> None:
    document = await stage.accept(b"# Some title\n\nSome words.", file_name="a.md")

    async def delete() -> None:
        await registry.documents.delete("default", document.document_id)

    await make_ingest(_ChangesFirst(registry, delete)).run(stage.job(document), delivery)
    assert queue.published == []
    assert queue.outcomes[-1] == "superseded"
    assert await registry.ingesting.chunks(document) == []


async def test_a_title_given_during_ingest_stays(
    make_ingest: MakeIngest, stage: Stage, delivery: Delivery, registry: Registry
) -> None:
    document = await stage.accept(b"# Some title\n\nSome words.", file_name="a.md")

    async def rename() -> None:
        await registry.documents.patch("default", document.document_id, title="My own")

    await make_ingest(_ChangesFirst(registry, rename)).run(stage.job(document), delivery)
    assert (await stage.reaches("embedding", "file:///upload.txt")).title == "My own"


async def test_a_title_found_in_an_overtaken_generation_is_not_given(
    make_ingest: MakeIngest, stage: Stage, delivery: Delivery, registry: Registry
) -> None:
    document = await stage.accept(b"# Some title\n\nSome words.", file_name="a.md")

    async def replace() -> None:
        await stage.accept(b"Other words.", file_name="a.md")

    await make_ingest(_ChangesFirst(registry, replace)).run(stage.job(document), delivery)
    assert (await stage.reaches("accepted", "file:///upload.txt")).title == "a.md"


async def test_ids_differ_for_a_job_that_is_queued_again_on_purpose(
    ingest: Ingest, queue: Queue, stage: Stage, delivery: Delivery
) -> None:
    document = await stage.accept(b"Some words.")
    await ingest.run(stage.job(document), delivery)
    await ingest.run(stage.job(document), later(delivery))
    assert len(queue.ids) == len(set(queue.ids)) == 2


async def test_a_new_pipeline_reads_the_same_bytes_again(
    ingest: Ingest, queue: Queue, delivery: Delivery, registry: Registry
) -> None:
    await ingest.run(drop("Some words."), delivery)
    await ingest.run(drop("Some words."), later(delivery))
    assert len(queue.published) == 1
    await registry.spaces.set_pipeline("second")
    await ingest.run(drop("Some words."), later(delivery, 2000))
    assert [
        message.document.generation for message in queue.published if isinstance(message, EmbedChunks)
    ] == [
        1,
        2,
    ]


async def test_a_redelivery_publishes_the_same_texts_with_their_context(
    ingest: Ingest, queue: Queue, delivery: Delivery
) -> None:
    text = "# Leave\n\n## How much\n\n" + "Everyone has twenty eight days. " * 5
    await ingest.run(drop(text, file_name="leave.md"), delivery)
    await ingest.run(drop(text, file_name="leave.md"), again(delivery))
    first, second = [message for message in queue.published if isinstance(message, EmbedChunks)]
    assert first.chunks == second.chunks
    assert all(chunk.text.startswith("Leave\nHow much\nEveryone") for chunk in first.chunks[1:])


async def test_filling_another_space_sends_the_texts_that_ingest_sent(
    ingest: Ingest, queue: Queue, delivery: Delivery, registry: Registry
) -> None:
    """Vectors of other texts would rank the same documents otherwise in each space."""
    text = "# Leave\n\n## How much\n\n" + "Everyone has twenty eight days. " * 400
    await ingest.run(drop(text, title="The handbook", file_name="leave.md"), delivery)
    sent = [message for message in queue.published if isinstance(message, EmbedChunks)]
    assert len(sent) > 1
    assert "The handbook\nLeave\nHow much\n" in sent[-1].chunks[-1].text
    chunks = await registry.spaces.missing_chunks(E5_SMALL.name, sent[0].document)
    filled = embed_messages(sent[0].document, chunks, E5_SMALL.name)
    assert filled == [message.model_copy(update={"space": E5_SMALL.name}) for message in sent]


async def test_new_settings_of_the_collection_cut_the_same_bytes_anew(
    ingest: Ingest, queue: Queue, delivery: Delivery, registry: Registry
) -> None:
    words = " ".join(f"Sentence {no}." for no in range(40))
    await ingest.run(drop(words), delivery)
    more = CollectionSettings(splitting=SplittingSettings(chunk_words=40, chunk_characters=1000))
    await registry.collections.change("default", "handbook", settings=more)
    await ingest.run(drop(words), later(delivery))
    await ingest.run(drop(words), later(delivery, 2000))
    cut = [len(message.chunks) for message in queue.published if isinstance(message, EmbedChunks)]
    assert cut == [8, 2]


async def test_an_object_above_the_limit_is_refused_and_kept(
    ingest: Ingest, delivery: Delivery, stage: Stage
) -> None:
    await stage.drops.put("huge.txt", once(b"x" * 1_000_001))
    with pytest.raises(PermanentError) as caught:
        await ingest.run(drop(content=DroppedContent(object="huge.txt")), delivery)
    assert caught.value.code == "too_large"
    assert (await stage.drops.info("huge.txt")).size == 1_000_001


class _CommitsFirst(IngestRegistry):
    """Another delivery of the same job is always a little faster."""

    def __init__(self, registry: Registry, document: DocumentRef) -> None:
        super().__init__(registry)
        self._ingesting = registry.ingesting
        self._document = document

    async def active_space(self) -> Space:
        await self._ingesting.commit_chunks(
            self._document,
            [ChunkRow(0, "Committed by another delivery.", 0, 30)],
            batches=1,
            fingerprint="first",
        )
        return await super().active_space()


class _ChangesFirst(IngestRegistry):
    """Somebody changes the document while it is parsed."""

    def __init__(self, registry: Registry, change: Callable[[], Awaitable[object]]) -> None:
        super().__init__(registry)
        self._change = change

    async def begin(self, document: DocumentRef, attempt: int) -> bool:
        await self._change()
        return await super().begin(document, attempt)
