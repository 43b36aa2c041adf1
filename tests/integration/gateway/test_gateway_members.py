"""Documents inside documents, as the API shows, changes and deletes them."""

import uuid
from typing import Any

from gateway_support import TENANT, Gateway, Json, problem

from rag_common.contracts import DocumentRef, PurgeDocument, UpdateIndexedDocument
from rag_common.registry import NewContent, Upload


async def member_of(gateway: Gateway, container: Json, name: str = "b.txt") -> Json:
    """What ingest does with a member."""
    ref = DocumentRef(tenant=TENANT, document_id=container["id"], generation=container["generation"])
    content = NewContent("handbook", f"{container['source_uri']}!/{name}", "0" * 64, 10, lane="interactive")
    accepted = await gateway.registry.members.accept(ref, Upload(content, uuid.uuid4().hex))
    assert accepted is not None
    member: Json = await gateway.get(f"/v1/documents/{accepted.document.document_id}")
    await gateway.make_live(member)
    return member


async def uploaded_archive(gateway: Gateway, **fields: Any) -> Json:
    container = await gateway.upload(b"an archive", name="a.zip", **fields)
    await gateway.make_live(container, "b.txt")
    return container


async def test_a_member_names_its_container_and_is_listed_by_it(gateway: Gateway) -> None:
    container = await uploaded_archive(gateway)
    member = await member_of(gateway, container)
    assert (member["parent_id"], member["source_uri"]) == (container["id"], "upload:/a.zip!/b.txt")
    assert (await gateway.get(f"/v1/documents/{container['id']}"))["parent_id"] is None
    listed = await gateway.get("/v1/documents", parent_id=container["id"])
    assert [item["id"] for item in listed["items"]] == [member["id"]]
    assert (await gateway.get("/v1/documents", parent_id=member["id"]))["items"] == []
    response = await gateway.http.get("/v1/documents", params={"parent_id": "a.zip"})
    problem(response, 422, "invalid_request")


async def test_a_change_of_the_container_changes_its_members(gateway: Gateway) -> None:
    container = await uploaded_archive(gateway)
    member = await member_of(gateway, container)
    path = f"/v1/documents/{container['id']}"
    await gateway.http.patch(path, json={"acl": ["key:bootstrap"], "metadata": {"year": 2026}})
    shown = await gateway.get(f"/v1/documents/{member['id']}")
    assert (shown["acl"], shown["metadata"], shown["acl_pending"]) == (
        ["key:bootstrap"],
        {"year": 2026},
        True,
    )
    updates = [job.document_id for job in await gateway.stored(UpdateIndexedDocument)]
    assert updates == [container["id"], member["id"]]


async def test_an_upload_with_another_acl_revokes_the_members(gateway: Gateway) -> None:
    container = await uploaded_archive(gateway)
    member = await member_of(gateway, container)
    await gateway.upload(b"an archive", name="a.zip", acl='["user:anna"]')
    found = await gateway.registry.documents.get(TENANT, member["id"])
    assert found.acl == ("user:anna",)
    problem(await gateway.http.get(f"/v1/documents/{member['id']}/chunks"), 404, "unknown_document")
    updates = [job.document_id for job in await gateway.stored(UpdateIndexedDocument)]
    assert sorted(updates) == sorted([container["id"], member["id"]])


async def test_deleting_the_container_deletes_and_purges_its_members(gateway: Gateway) -> None:
    container = await uploaded_archive(gateway)
    member = await member_of(gateway, container)
    assert (await gateway.http.delete(f"/v1/documents/{container['id']}")).status_code == 202
    assert (await gateway.get(f"/v1/documents/{member['id']}"))["state"] == "deleting"
    assert (await gateway.get("/v1/documents"))["items"] == []
    purges = [job.document_id for job in await gateway.stored(PurgeDocument)]
    assert purges == [container["id"], member["id"]]


async def test_deleting_a_member_leaves_its_container(gateway: Gateway) -> None:
    container = await uploaded_archive(gateway)
    member = await member_of(gateway, container)
    assert (await gateway.http.delete(f"/v1/documents/{member['id']}")).status_code == 202
    assert [item["id"] for item in (await gateway.get("/v1/documents"))["items"]] == [container["id"]]
