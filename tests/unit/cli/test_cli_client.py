"""The HTTP client against an application that answers as the gateway does."""

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ragp.client import GatewayClient, UploadFields
from ragp.errors import CommandError, GatewayError
from ragp.target import Gateway


class FakeGateway:
    """Answers with what it was given, one answer per request; remembers the requests' bodies."""

    def __init__(self, *answers: Response) -> None:
        self._answers = list(answers)
        self.bodies: list[bytes] = []
        self.queries: list[dict[str, str]] = []
        self.paths: list[bytes] = []
        route = Route("/{path:path}", self._answer, methods=["GET", "POST", "DELETE"])
        self.transport = httpx.ASGITransport(Starlette(routes=[route]))

    async def _answer(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        self.queries.append(dict(request.query_params))
        self.paths.append(request.scope["raw_path"])
        return self._answers.pop(0)

    def client(self, patience: float = 0.0) -> GatewayClient:
        return GatewayClient(Gateway("http://gateway", "key"), patience=patience, transport=self.transport)


def problem(status: int, detail: str, code: str) -> Response:
    body = {
        "type": f"urn:rag:problem:{code}",
        "title": "No",
        "status": status,
        "detail": detail,
        "code": code,
    }
    return JSONResponse(body, status, media_type="application/problem+json")


def busy() -> Response:
    return JSONResponse({}, 503, headers={"Retry-After": "0"})


async def test_a_busy_gateway_is_asked_again_with_the_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text("the whole text")
    accepted = JSONResponse({"documents": [{"id": "1"}]}, 202)
    gateway = FakeGateway(busy(), busy(), accepted)
    async with gateway.client() as client:
        answer = await client.upload(file, "file:///note.txt", UploadFields("notes", {"год": 1}, ["*"]))
    assert answer == {"id": "1"}
    assert all(b"the whole text" in body for body in gateway.bodies)
    assert '{"год": 1}'.encode() in gateway.bodies[2]


async def test_a_gateway_that_stays_busy_is_an_error() -> None:
    gateway = FakeGateway(*(busy() for _ in range(8)))
    async with gateway.client() as client:
        with pytest.raises(GatewayError) as caught:
            await client.document("1")
    assert caught.value.status == 503
    assert len(gateway.bodies) == 8


async def test_a_patient_client_waits_for_its_turn() -> None:
    gateway = FakeGateway(*(busy() for _ in range(20)), JSONResponse({"id": "1"}))
    async with gateway.client(patience=3600) as client:
        assert await client.document("1") == {"id": "1"}


async def test_a_problem_becomes_an_error_with_its_detail_and_code() -> None:
    gateway = FakeGateway(problem(404, "there is no collection 'x'", "unknown_collection"))
    async with gateway.client() as client:
        with pytest.raises(GatewayError, match="no collection 'x'") as caught:
            await client.post_search({"query": "q", "collections": ["x"]})
    assert (caught.value.status, caught.value.code) == (404, "unknown_collection")


@pytest.mark.parametrize("answer", [PlainTextResponse("<html>", 502), JSONResponse(["?"], 502)])
async def test_what_a_proxy_answers_is_an_error_too(answer: Response) -> None:
    async with FakeGateway(answer).client() as client:
        with pytest.raises(GatewayError, match="HTTP 502"):
            await client.document("1")


async def test_a_collection_that_exists_is_fine() -> None:
    exists = problem(409, "it exists", "collection_exists")
    async with FakeGateway(JSONResponse({}, 201), exists).client() as client:
        assert await client.ensure_collection("notes")
        assert not await client.ensure_collection("notes")


async def test_pages_are_followed_to_the_end() -> None:
    gateway = FakeGateway(
        JSONResponse({"items": [{"id": 1}, {"id": 2}], "next_cursor": "c"}),
        JSONResponse({"items": [{"id": 3}], "next_cursor": None}),
    )
    async with gateway.client() as client:
        ids = [document["id"] async for document in client.documents(collection="notes", state=None)]
    assert ids == [1, 2, 3]
    assert gateway.queries == [{"collection": "notes"}, {"collection": "notes", "cursor": "c"}]


async def test_a_gateway_that_restarts_is_waited_for() -> None:
    class Restarting(httpx.ASGITransport):
        refusals = 2

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if self.refusals > 0:
                self.refusals -= 1
                raise httpx.ConnectError("refused")
            return await super().handle_async_request(request)

    app = Starlette(routes=[Route("/v1/documents/1", lambda _: JSONResponse({"id": "1"}))])
    gateway = Gateway("http://gateway", "key")
    async with GatewayClient(gateway, patience=30, transport=Restarting(app)) as client:
        assert await client.document("1") == {"id": "1"}


async def test_a_gateway_that_is_not_there_names_the_cure() -> None:
    async with GatewayClient(Gateway("http://127.0.0.1:1", "key")) as client:
        with pytest.raises(CommandError, match="does not answer") as caught:
            await client.document("1")
    assert "ragp up" in str(caught.value.cure)


async def test_an_id_cannot_lead_to_another_resource() -> None:
    gateway = FakeGateway(Response(status_code=204), JSONResponse({"items": []}))
    odd = "../collections/handbook?x#y"
    async with gateway.client() as client:
        await client.delete(odd)
        assert [chunk async for chunk in client.chunks(odd)] == []
        with pytest.raises(CommandError, match="not the id"):
            await client.delete("..")
    path = b"/v1/documents/..%2Fcollections%2Fhandbook%3Fx%23y"
    assert gateway.paths == [path, path + b"/chunks"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_success(status: int) -> None:
    gateway = FakeGateway(Response(status_code=status, headers={"Location": "https://elsewhere/v1"}))
    async with gateway.client() as client:
        with pytest.raises(GatewayError, match="https://elsewhere/v1") as caught:
            await client.delete("1")
    assert caught.value.status == status


async def test_any_other_answer_below_400_is_not_success() -> None:
    gateway = FakeGateway(Response(status_code=304))
    async with gateway.client() as client:
        with pytest.raises(GatewayError, match="304"):
            await client.document("1")


@pytest.mark.parametrize("answer", [PlainTextResponse("<html>Welcome</html>"), JSONResponse(["a", "list"])])
async def test_an_answer_of_another_server_is_an_error(answer: Response) -> None:
    async with FakeGateway(answer).client() as client:
        with pytest.raises(CommandError, match="not the API"):
            await client.document("1")


async def test_a_url_that_cannot_be_used_is_an_error() -> None:
    with pytest.raises(CommandError, match="not a URL"):
        GatewayClient(Gateway("http://host:port", "key"))
