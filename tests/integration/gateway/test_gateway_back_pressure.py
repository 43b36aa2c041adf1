"""When a queue is full or a server is away, the client is told to come back, and nothing is half done."""

from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from gateway_support import TENANT, Gateway, Place, eventually, problem, running_gateway

from rag_common.contracts import IngestDocument, RetrievePassages
from rag_common.provision import provision
from rag_common.registry import Registry
from rag_common.testing import NatsServer, PostgresServer
from rag_common.topology import Topology
from ragp.migrations import upgrade

COLLECTION = {"collection": "handbook"}


def file(name: str, content: bytes = b"text") -> tuple[str, tuple[str, bytes]]:
    return "files", (name, content)


async def fill(gateway: Gateway) -> None:
    """One more message than this and the lane is full."""
    stream = gateway.topology.stream("INGEST")
    config = (await gateway.jetstream.stream_info(stream)).config
    await gateway.jetstream.update_stream(config.evolve(max_msgs_per_subject=1))


async def test_a_full_lane_rejects_the_upload_and_keeps_nothing(gateway: Gateway) -> None:
    await fill(gateway)
    first = await gateway.upload(b"one", name="first.txt")
    objects = await gateway.object_names()
    response = await gateway.http.post("/v1/documents", data=COLLECTION, files=[file("second.txt")])
    problem(response, 503, "overloaded")
    assert int(response.headers["retry-after"]) >= 1
    assert await gateway.object_names() == objects
    rejected = (await gateway.get("/v1/documents", state="rejected"))["items"]
    assert [item["source_uri"] for item in rejected] == ["upload:/second.txt"]

    await gateway.lose_jobs("INGEST")
    again = await gateway.upload(b"text", name="second.txt")
    assert (again["outcome"], again["id"]) == ("accepted", rejected[0]["id"])
    assert first["id"] != again["id"]


async def test_a_rejected_replacement_leaves_the_document_as_it_was(gateway: Gateway) -> None:
    uploaded = await gateway.upload(b"one", title="One")
    await gateway.make_live(uploaded)
    await fill(gateway)
    response = await gateway.http.post(
        "/v1/documents", data=COLLECTION | {"title": "Two"}, files=[file("leave.txt", b"two")]
    )
    problem(response, 503, "overloaded")
    document = await gateway.get(f"/v1/documents/{uploaded['id']}")
    assert (document["state"], document["generation"], document["title"]) == ("live", 1, "One")
    assert (await gateway.http.get(f"/v1/documents/{uploaded['id']}/content")).content == b"one"


async def test_a_key_of_a_rejected_upload_may_be_used_again(gateway: Gateway) -> None:
    await fill(gateway)
    await gateway.upload(b"one", name="first.txt")
    key = {"Idempotency-Key": "retry-me"}
    files = [file("second.txt")]
    refused = await gateway.http.post("/v1/documents", data=COLLECTION, files=files, headers=key)
    problem(refused, 503, "overloaded")
    await gateway.lose_jobs("INGEST")
    accepted = await gateway.http.post("/v1/documents", data=COLLECTION, files=files, headers=key)
    assert accepted.status_code == 202
    assert "idempotency-replayed" not in accepted.headers


async def test_of_many_files_those_that_fit_are_on_their_way(gateway: Gateway) -> None:
    await fill(gateway)
    files = [file(f"{number}.txt", str(number).encode()) for number in range(3)]
    problem(await gateway.http.post("/v1/documents", data=COLLECTION, files=files), 503, "overloaded")
    states = {item["source_uri"]: item["state"] for item in (await gateway.get("/v1/documents"))["items"]}
    assert states == {
        "upload:/0.txt": "accepted",
        "upload:/1.txt": "rejected",
        "upload:/2.txt": "rejected",
    }
    await gateway.lose_jobs("INGEST")
    again = await gateway.http.post("/v1/documents", data=COLLECTION, files=files[:2])
    outcomes = [document["outcome"] for document in again.json()["documents"]]
    assert outcomes == ["unchanged", "accepted"]


@pytest.fixture
async def fragile(
    tmp_path: Path,
) -> AsyncIterator[tuple[Gateway, NatsServer, PostgresServer]]:
    """A gateway whose servers the test may stop."""
    with NatsServer() as nats_server, PostgresServer() as postgres:
        database_url = await postgres.create_database()
        await upgrade(database_url)
        topology = Topology("fragile")
        client = await nats.connect(nats_server.url)
        await provision(client.jetstream(), topology)
        registry = await Registry.connect(database_url)
        await registry.collections.create(TENANT, "handbook")
        place = Place(nats_server.url, database_url, topology, tmp_path)
        async with running_gateway(place, registry, client.jetstream()) as gateway:
            yield gateway, nats_server, postgres
        await registry.close()
        await client.close()


async def test_without_postgresql_the_answer_is_503_until_it_is_back(
    fragile: tuple[Gateway, NatsServer, PostgresServer],
) -> None:
    gateway, _, postgres = fragile
    postgres.stop()
    for method, path in (("GET", "/v1/documents"), ("GET", "/v1/collections")):
        response = await gateway.http.request(method, path)
        problem(response, 503, "registry_unavailable")
        assert "retry-after" in response.headers
    upload = await gateway.http.post("/v1/documents", data=COLLECTION, files=[file("a.txt")])
    problem(upload, 503, "registry_unavailable")
    for stream in (False, True):
        answer = await gateway.http.post("/v1/ask", json={"question": "days", "stream": stream})
        problem(answer, 503, "registry_unavailable")
        assert "retry-after" in answer.headers
    # the retriever would hold it until its deadline
    assert not await gateway.stored(RetrievePassages)
    ready = await gateway.http.get("/readyz")
    # which check fails, and nothing of where the database is or how it answers: anybody may ask
    assert (ready.status_code, ready.json()["problems"]) == (503, {"registry": "unavailable"})
    assert (await gateway.http.get("/livez")).status_code == 200
    postgres.start()

    async def back() -> bool | None:
        return (await gateway.http.get("/v1/documents")).status_code == 200 or None

    await eventually(back)
    assert (await gateway.upload())["outcome"] == "accepted"


async def test_without_nats_the_answer_is_503_until_it_is_back(
    fragile: tuple[Gateway, NatsServer, PostgresServer],
) -> None:
    gateway, nats_server, _ = fragile
    uploaded = await gateway.upload()
    nats_server.kill()
    upload = await gateway.http.post("/v1/documents", data=COLLECTION, files=[file("a.txt")])
    assert upload.status_code == 503
    problem(upload, 503, upload.json()["code"])
    search = await gateway.http.post("/v1/search", json={"query": "days"})
    problem(search, 503, search.json()["code"])
    # what needs the registry only goes on, and a change is not lost
    path = f"/v1/documents/{uploaded['id']}"
    assert (await gateway.http.get(path)).status_code == 200
    assert (await gateway.http.patch(path, json={"acl": ["user:anna"]})).status_code == 200
    assert (await gateway.http.delete(path)).status_code == 202
    nats_server.start()

    async def back() -> bool | None:
        response = await gateway.http.post("/v1/documents", data=COLLECTION, files=[file("b.txt")])
        return response.status_code == 202 or None

    await eventually(back)
    assert len(await gateway.stored(IngestDocument)) == 2
