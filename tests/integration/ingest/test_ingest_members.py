"""What is inside archives and mails becomes documents, whatever interrupts the job that does it."""

import base64
import hashlib
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from ingest_files import archive, pdf
from ingest_jobs import Claims, MakeIngest, Queue, StartProcess, again, later
from ingest_support import Stage, drop, eventually

from rag_common.contracts import (
    EmbedChunks,
    IngestDocument,
    InlineContent,
    PurgeDocument,
    UpdateIndexedDocument,
)
from rag_common.errors import TransientError
from rag_common.provision import provision
from rag_common.registry import Document, Registry
from rag_ingest.adapters.registry import IngestRegistry
from rag_ingest.domain.ingest import Ingest
from rag_ingest.domain.members import MAX_DEPTH
from rag_ingest.domain.ports import Delivery

SOURCE = "file:///a.zip"
MAIL = b"""From: anna@example.org
Subject: The bill
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

Pay by Friday.
--b
Content-Type: text/plain; name=bill.txt
Content-Disposition: attachment; filename=bill.txt

28 roubles.
--b--
"""
PACKED = {
    "a.txt": b"First words.",
    "docs/b.pdf": pdf([["Second words."]]),
    "mail.eml": MAIL,
    "broken.pdf": b"%PDF-1.7 and no more",
}
EXPECTED = {
    SOURCE: "embedding",
    f"{SOURCE}!/a.txt": "embedding",
    f"{SOURCE}!/docs/b.pdf": "embedding",
    f"{SOURCE}!/mail.eml": "embedding",
    f"{SOURCE}!/mail.eml!/bill.txt": "embedding",
    f"{SOURCE}!/broken.pdf": "failed",
}


def dropped(members: dict[str, bytes], **fields: Any) -> IngestDocument:
    return packed(archive(members), **fields)


def packed(data: bytes, **fields: Any) -> IngestDocument:
    content = InlineContent(data=base64.b64encode(data).decode())
    return drop(content=content, **({"source_uri": SOURCE, "file_name": "a.zip"} | fields))


async def documents(registry: Registry) -> dict[str, Document]:
    return {each.source_uri: each for each in await registry.documents.page("default", limit=1000)}


async def states(registry: Registry) -> dict[str, str]:
    return {source: each.state for source, each in (await documents(registry)).items()}


def embedded(queue: Queue) -> set[str]:
    return {message.document.document_id for message in queue.published if isinstance(message, EmbedChunks)}


async def test_every_member_is_a_document_with_the_access_of_its_archive(
    ingest: Ingest, queue: Queue, delivery: Delivery, registry: Registry, stage: Stage, claims: Claims
) -> None:
    await ingest.run(dropped(PACKED, acl=("user:anna",), metadata={"year": 2026}), delivery)
    found = await documents(registry)
    assert {source: each.state for source, each in found.items()} == EXPECTED
    assert all((each.acl, each.metadata) == (("user:anna",), {"year": 2026}) for each in found.values())
    mail = found[f"{SOURCE}!/mail.eml"]
    bill = found[f"{SOURCE}!/mail.eml!/bill.txt"]
    assert (mail.title, mail.parent_id) == ("The bill", found[SOURCE].id)
    assert (bill.title, bill.media_type, bill.parent_id) == ("bill.txt", "text/plain", mail.id)
    assert embedded(queue) == {each.id for each in found.values() if each.state == "embedding"}
    assert ["a.txt docs/b.pdf mail.eml broken.pdf"] in [
        [" ".join(text.split()) for text in texts] for texts in queue.texts()
    ]
    upload = await registry.documents.upload_id("default", found[f"{SOURCE}!/a.txt"].id)
    assert (await stage.documents.info(upload)).sha256 == hashlib.sha256(b"First words.").hexdigest()
    assert claims.last().document_id == found[SOURCE].id, "a failure of the job is one of the archive"


async def test_a_member_that_cannot_be_read_fails_alone_and_says_why(
    ingest: Ingest, queue: Queue, delivery: Delivery, registry: Registry
) -> None:
    await ingest.run(dropped(PACKED), delivery)
    broken = (await documents(registry))[f"{SOURCE}!/broken.pdf"]
    assert (broken.state, broken.stage, broken.error_code) == ("failed", "ingest", "damaged_file")
    assert "damaged" in (broken.error_message or "")
    assert "failed" in queue.outcomes


async def test_a_second_delivery_changes_nothing(
    ingest: Ingest, queue: Queue, delivery: Delivery, registry: Registry
) -> None:
    await ingest.run(dropped(PACKED), delivery)
    before = await documents(registry)
    await ingest.run(dropped(PACKED), again(delivery))
    assert await documents(registry) == before


class Killed(TransientError):
    """Stands for the end of the process; nothing but the job's next delivery goes on."""


class Mortal:
    """Everything outside, which dies with a certain call."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def wrap(self, port: Any) -> Any:
        mortal = self

        class Port:
            def __getattr__(self, name: str) -> Any:
                return mortal.dying(getattr(port, name))

        return Port()

    def dying(self, call: Callable[..., Any]) -> Callable[..., Any]:
        if not inspect.iscoroutinefunction(call):
            return call

        async def mortal(*args: Any, **kwargs: Any) -> Any:
            if self.left == 0:
                raise Killed("killed")
            self.left -= 1
            awaited: Awaitable[Any] = call(*args, **kwargs)
            return await awaited

        return mortal


async def test_a_job_killed_at_any_point_is_finished_by_its_next_delivery(
    make_ingest: MakeIngest, queue: Queue, delivery: Delivery, registry: Registry
) -> None:
    members = {"in.zip": archive({"a.txt": b"Words."}), "program": b"\x7fELF\x02\x01"}
    expected = {
        "": "embedding",
        "!/in.zip": "embedding",
        "!/in.zip!/a.txt": "embedding",
        "!/program": "failed",
    }
    calls, survived = 0, False
    while not survived:
        source = f"file:///{calls}.zip"
        message, this = dropped(members, source_uri=source), later(delivery, calls * 1000)
        try:
            await make_ingest(IngestRegistry(registry), Mortal(calls).wrap).run(message, this)
            survived = True
        except Killed:
            await make_ingest(IngestRegistry(registry)).run(message, again(this))
        found = {
            name.removeprefix(source): each
            for name, each in (await documents(registry)).items()
            if name.startswith(source)
        }
        assert {name: each.state for name, each in found.items()} == expected, calls
        assert {each.id for each in found.values() if each.state == "embedding"} <= embedded(queue), calls
        calls += 1
    assert calls > 30


async def test_the_next_version_of_an_archive_renews_adds_and_removes_members(
    ingest: Ingest, queue: Queue, delivery: Delivery, registry: Registry
) -> None:
    await ingest.run(dropped(PACKED), delivery)
    first = await documents(registry)
    queue.published.clear()
    newer = {"a.txt": PACKED["a.txt"], "docs/b.pdf": pdf([["Other words."]]), "new.txt": b"New words."}
    await ingest.run(dropped(newer), later(delivery))
    found = await documents(registry)
    assert {source: (each.generation, each.state) for source, each in found.items()} == {
        SOURCE: (2, "embedding"),
        f"{SOURCE}!/a.txt": (1, "embedding"),
        f"{SOURCE}!/docs/b.pdf": (2, "embedding"),
        f"{SOURCE}!/new.txt": (1, "embedding"),
    }
    gone = {f"{SOURCE}!/{name}" for name in ("mail.eml", "mail.eml!/bill.txt", "broken.pdf")}
    purged = {message.document_id for message in queue.published if isinstance(message, PurgeDocument)}
    assert purged == {first[source].id for source in gone}
    for source in gone:
        assert (await registry.documents.get("default", first[source].id)).state == "deleting"


@pytest.mark.parametrize("members", [PACKED, {"a.txt": PACKED["a.txt"]}])
async def test_a_drop_with_another_acl_updates_the_index_of_all_that_is_inside(
    ingest: Ingest, queue: Queue, delivery: Delivery, registry: Registry, members: dict[str, bytes]
) -> None:
    await ingest.run(dropped(PACKED), delivery)
    before = await documents(registry)
    await ingest.run(dropped(members, acl=("user:anna",)), later(delivery))
    updated = [
        message.document_id for message in queue.published if isinstance(message, UpdateIndexedDocument)
    ]
    assert sorted(updated) == sorted(each.id for each in before.values())


async def test_an_archive_that_becomes_a_text_has_no_members_any_more(
    ingest: Ingest, delivery: Delivery, registry: Registry
) -> None:
    await ingest.run(dropped({"a.txt": b"Words."}), delivery)
    await ingest.run(drop("Only words.", source_uri=SOURCE), later(delivery))
    assert list(await documents(registry)) == [SOURCE]


async def test_an_older_archive_after_a_newer_one_changes_nothing(
    ingest: Ingest, delivery: Delivery, registry: Registry
) -> None:
    await ingest.run(dropped({"a.txt": b"New."}), later(delivery))
    before = await documents(registry)
    await ingest.run(dropped({"a.txt": b"Old.", "b.txt": b"Old."}), delivery)
    assert await documents(registry) == before


async def test_an_archive_deleted_while_it_is_unpacked_leaves_nothing(
    make_ingest: MakeIngest, delivery: Delivery, registry: Registry
) -> None:
    class Deletes(IngestRegistry):
        async def retire_members(self, *args: Any) -> list[str]:
            container = await self.generation(args[0])
            assert container is not None
            await registry.documents.delete("default", container.document.document_id)
            return await super().retire_members(*args)

    await make_ingest(Deletes(registry)).run(dropped(PACKED), delivery)
    assert await documents(registry) == {}


async def test_archives_in_archives_end_at_a_depth_and_say_so(
    ingest: Ingest, delivery: Delivery, registry: Registry
) -> None:
    data = archive({"deep.txt": b"Deep words."})
    for no in range(MAX_DEPTH + 1):
        data = archive({f"{no}.zip": data, f"{no}.txt": b"Words."})
    await ingest.run(packed(data), delivery)
    found = await documents(registry)
    assert max(source.count("!/") for source in found) == MAX_DEPTH
    deepest = found[f"{SOURCE}!/3.zip!/2.zip!/1.zip"]
    assert deepest.state == "embedding"
    assert deepest.warnings[0].startswith("0.zip, 0.txt: not read, it lies deeper than 3")


async def test_all_archives_inside_one_share_its_limit(
    ingest: Ingest, delivery: Delivery, registry: Registry
) -> None:
    inner = archive({f"{no}.txt": b"Words %d." % no for no in range(15)})
    await ingest.run(dropped({"a.zip": inner, "b.zip": inner}), delivery)
    found = await documents(registry)
    assert len(found) == 1 + 20
    assert found[f"{SOURCE}!/a.zip"].warnings == ()
    (warning,) = found[f"{SOURCE}!/b.zip"].warnings
    assert "too many files" in warning


async def test_a_document_that_has_the_name_of_a_member_is_left_alone_and_named(
    ingest: Ingest, delivery: Delivery, registry: Registry
) -> None:
    await ingest.run(drop("Mine.", source_uri=f"{SOURCE}!/a.txt", acl=("user:boris",)), delivery)
    await ingest.run(dropped(PACKED, acl=("user:anna",)), later(delivery))
    found = await documents(registry)
    assert {source: each.state for source, each in found.items()} == EXPECTED
    mine = found[f"{SOURCE}!/a.txt"]
    assert (mine.acl, mine.parent_id, mine.generation) == (("user:boris",), None, 1)
    assert found[SOURCE].warnings == (
        f"{SOURCE}!/a.txt: not read, other documents have these names;"
        " delete them and this one, and send it again.",
    )


async def test_members_of_a_member_and_of_a_folder_with_its_name_are_two_documents(
    ingest: Ingest, delivery: Delivery, registry: Registry
) -> None:
    inner = archive({"c.txt": b"Inside."})
    await ingest.run(
        dropped({"b.zip": inner, "b.zip!/c.txt": b"Beside.", "b.zip!%2Fc.txt": b"x y"}), delivery
    )
    assert sorted(await documents(registry)) == [
        SOURCE,
        f"{SOURCE}!/b.zip",
        f"{SOURCE}!/b.zip!%252Fc.txt",
        f"{SOURCE}!/b.zip!%2Fc.txt",
        f"{SOURCE}!/b.zip!/c.txt",
    ]


async def test_a_member_without_a_job_is_read_when_the_reconciler_queues_it(
    make_ingest: MakeIngest,
    ingest: Ingest,
    queue: Queue,
    stage: Stage,
    delivery: Delivery,
    registry: Registry,
) -> None:
    """Its container's job was given up after it had been registered."""

    class Dies(IngestRegistry):
        async def retire_members(self, *args: Any) -> list[str]:
            raise Killed("killed")

    with pytest.raises(Killed):
        await make_ingest(Dies(registry)).run(dropped(PACKED), delivery)
    found = await documents(registry)
    assert found[f"{SOURCE}!/a.txt"].state == "accepted"
    for lost in await registry.reconciling.without_message(
        "bulk", found[SOURCE].updated_at.max.replace(tzinfo=found[SOURCE].updated_at.tzinfo)
    ):
        if lost.source_uri.endswith(("a.txt", "mail.eml")):
            await ingest.run(stage.job(lost.document), later(delivery))
    now = await states(registry)
    assert now[f"{SOURCE}!/a.txt"] == now[f"{SOURCE}!/mail.eml!/bill.txt"] == "embedding"


async def test_a_killed_process_leaves_nothing_undone(
    stage: Stage, registry: Registry, start_process: StartProcess, tmp_path: Path
) -> None:
    members = {f"{no}.html": f"<html><p>Page {no}.</p></html>".encode() for no in range(40)}
    work_dir = tmp_path / "work"
    victim = await start_process(work_dir)
    await stage.send(dropped(members))

    async def some() -> bool | None:
        return Counter((await states(registry)).values())["embedding"] >= 5 or None

    await eventually(some)
    victim.kill()
    await victim.wait()
    # instead of waiting for ack_wait: a new consumer is given what was not acknowledged
    await stage.jetstream.delete_consumer(stage.topology.stream("INGEST"), "ingest-bulk")
    await provision(stage.jetstream, stage.topology)
    await start_process(work_dir)
    await stage.idle()
    found = await documents(registry)
    assert Counter(each.state for each in found.values()) == {"embedding": 41}
    sent = {message.document.document_id for message in await stage.stored(EmbedChunks)}
    assert sent == {each.id for each in found.values()}
    (living,) = work_dir.iterdir()
    assert not any(living.iterdir())
