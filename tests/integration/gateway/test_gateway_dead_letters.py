"""A dead letter turns its document failed, with the reason."""

import base64
from typing import Any

from gateway_support import TENANT, Gateway, Json, eventually

from rag_common.contracts import (
    DeadLetter,
    DocumentEvent,
    DocumentRef,
    IndexChunks,
    IngestDocument,
    PurgeDocument,
)
from rag_common.registry import NewContent, Order, Upload

DROP = Order(1_795_000_000_123_456_789, 42)


def letter(gateway: Gateway, stage: str = "ingest", **changes: Any) -> DeadLetter:
    subject = gateway.topology.subject(IngestDocument, lane="bulk", tenant=TENANT)
    fields: Json = {
        "stage": stage,
        "code": "damaged_file",
        "reason": "The file is damaged.",
        "attempts": 5,
        "original_subject": subject,
        "original_stream": gateway.topology.stream("INGEST"),
        "original_sequence": DROP.sequence,
        "original_time_ns": DROP.time_ns,
        "body": base64.b64encode(b"{}").decode(),
    }
    return DeadLetter(**(fields | changes))


async def bury(gateway: Gateway, dead: DeadLetter | bytes, stage: str = "ingest") -> None:
    """Publish a dead letter, and wait until the gateway has read it."""
    subject = gateway.topology.subject(DeadLetter, stage=stage)
    ack = await gateway.jetstream.publish(subject, dead if isinstance(dead, bytes) else dead.encode())

    async def read() -> bool | None:
        info = await gateway.jetstream.consumer_info(gateway.topology.stream("DLQ"), "dead-letters")
        floor = info.ack_floor
        return (floor is not None and floor.stream_seq >= ack.seq) or None

    await eventually(read)


def ref(document: Json) -> DocumentRef:
    return DocumentRef(tenant=TENANT, document_id=document["id"], generation=document["generation"])


async def state(gateway: Gateway, document_id: str) -> Json:
    return await gateway.get(f"/v1/documents/{document_id}")


async def test_the_document_of_a_dead_letter_fails_with_its_reason(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    await bury(gateway, letter(gateway, "embed", document=ref(uploaded)), "embed")
    document = await state(gateway, uploaded["id"])
    assert (document["state"], document["attempts"]) == ("failed", 5)
    assert document["error"] == {"stage": "embed", "code": "damaged_file", "message": "The file is damaged."}
    hint = (await gateway.stored(DocumentEvent))[-1]
    assert (hint.outcome, hint.document_id, hint.code) == ("failed", uploaded["id"], "damaged_file")
    metrics = (await gateway.http.get("/metrics")).text
    assert 'rag_dead_letters_total{code="damaged_file",document="failed",stage="embed"} 1.0' in metrics


async def test_the_same_letter_twice_is_once(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    for _ in range(2):
        await bury(gateway, letter(gateway, document=ref(uploaded)))
    document = await state(gateway, uploaded["id"])
    assert [moved["to_state"] for moved in document["transitions"]] == ["accepted", "failed"]


async def test_a_drop_that_killed_its_worker_is_found_by_its_place_in_the_stream(gateway: Gateway) -> None:
    content = NewContent("handbook", "file:///bomb.pdf", "0" * 64, 10, lane="bulk")
    accepted = await gateway.registry.accepting.drop(TENANT, Upload(content, "bomb"), DROP)
    await bury(gateway, letter(gateway, document=None))
    assert (await state(gateway, accepted.document.document_id))["state"] == "failed"


async def test_a_drop_of_another_tenant_at_the_same_place_is_left_alone(gateway: Gateway) -> None:
    content = NewContent("handbook", "file:///bomb.pdf", "0" * 64, 10, lane="bulk")
    accepted = await gateway.registry.accepting.drop(TENANT, Upload(content, "bomb"), DROP)
    subject = gateway.topology.subject(IngestDocument, lane="bulk", tenant="other")
    await bury(gateway, letter(gateway, original_subject=subject))
    assert (await state(gateway, accepted.document.document_id))["state"] == "accepted"


async def test_a_dead_upsert_fails_its_document_and_a_dead_purge_does_not(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    purge = gateway.topology.subject(PurgeDocument)
    dead = letter(gateway, "index", document=ref(uploaded), original_subject=purge)
    await bury(gateway, dead, "index")
    assert (await state(gateway, uploaded["id"]))["state"] == "accepted"

    upsert = gateway.topology.subject(IndexChunks)
    dead = letter(gateway, "index", document=ref(uploaded), original_subject=upsert)
    await bury(gateway, dead, "index")
    assert (await state(gateway, uploaded["id"]))["state"] == "failed"


async def test_a_live_document_stays_live(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    await gateway.make_live(uploaded)
    await bury(gateway, letter(gateway, document=ref(uploaded)))
    assert (await state(gateway, uploaded["id"]))["state"] == "live"


async def test_letters_about_nothing_known_are_read_and_counted(gateway: Gateway) -> None:
    unknown = DocumentRef(tenant=TENANT, document_id="not-a-uuid", generation=1)
    await bury(gateway, letter(gateway, document=unknown))
    await bury(gateway, letter(gateway, "retrieve"), "retrieve")
    await bury(gateway, letter(gateway, original_subject="something.else"))
    metrics = (await gateway.http.get("/metrics")).text
    assert 'rag_dead_letters_total{code="damaged_file",document="none",stage="ingest"} 2.0' in metrics


async def test_an_undecodable_letter_does_not_stop_the_others(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    await bury(gateway, b"\xff{")
    await bury(gateway, letter(gateway, document=ref(uploaded)))
    assert (await state(gateway, uploaded["id"]))["state"] == "failed"
