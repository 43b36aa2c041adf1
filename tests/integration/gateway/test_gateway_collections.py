"""Collections over HTTP, and who may call at all."""

import pytest
from gateway_support import Gateway, problem


async def test_a_collection_is_created_listed_shown_and_deleted(gateway: Gateway) -> None:
    created = await gateway.http.post("/v1/collections", json={"name": "papers", "description": "to read"})
    assert created.status_code == 201
    assert created.headers["location"] == "/v1/collections/papers"

    listed = await gateway.get("/v1/collections")
    assert [item["name"] for item in listed["items"]] == ["handbook", "papers"]
    shown = await gateway.get("/v1/collections/papers")
    assert (shown["description"], shown["documents"]) == ("to read", 0)

    assert (await gateway.http.delete("/v1/collections/papers")).status_code == 202
    problem(await gateway.http.get("/v1/collections/papers"), 404, "unknown_collection")
    problem(await gateway.http.delete("/v1/collections/papers"), 404, "unknown_collection")


async def test_a_name_is_taken_once(gateway: Gateway) -> None:
    problem(await gateway.http.post("/v1/collections", json={"name": "handbook"}), 409, "collection_exists")


async def test_settings_are_shown_and_changed_one_by_one(gateway: Gateway) -> None:
    body = {"name": "papers", "description": "to read", "settings": {"splitting": {"chunk_words": 60}}}
    created = await gateway.http.post("/v1/collections", json=body)
    assert created.json()["settings"] == {"splitting": {"chunk_words": 60, "chunk_characters": None}}

    path = "/v1/collections/papers"
    changed = await gateway.http.patch(path, json={"settings": {"splitting": {"chunk_characters": 900}}})
    assert changed.status_code == 200
    assert changed.json()["settings"] == {"splitting": {"chunk_words": 60, "chunk_characters": 900}}
    await gateway.http.patch(path, json={"settings": {"splitting": {"chunk_words": None}}})
    await gateway.http.patch(path, json={"description": "read"})
    shown = await gateway.get(path)
    assert shown["settings"] == {"splitting": {"chunk_words": None, "chunk_characters": 900}}
    assert shown["description"] == "read"
    listed = await gateway.get("/v1/collections")
    assert [item["settings"]["splitting"]["chunk_characters"] for item in listed["items"]] == [None, 900]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"splitting": {"chunk_words": 9}}, "body.settings.splitting.chunk_words"),
        ({"splitting": {"chunk_characters": "long"}}, "body.settings.splitting.chunk_characters"),
        ({"splitting": {"chunk_word": 50}}, "body.settings.splitting.chunk_word"),
        ({"splitting": None}, "body.settings.splitting"),
        ({"spliting": {}}, "body.settings.spliting"),
    ],
)
async def test_a_bad_setting_is_refused_with_its_field(gateway: Gateway, changes: object, field: str) -> None:
    for request in (
        gateway.http.patch("/v1/collections/handbook", json={"settings": changes}),
        gateway.http.post("/v1/collections", json={"name": "papers", "settings": changes}),
    ):
        assert problem(await request, 422, "invalid_request")["errors"][0]["field"] == field
    assert (await gateway.get("/v1/collections/handbook"))["settings"]["splitting"]["chunk_words"] is None


async def test_a_collection_that_is_not_there_is_not_changed(gateway: Gateway) -> None:
    refused = await gateway.http.patch("/v1/collections/papers", json={"description": "read"})
    problem(refused, 404, "unknown_collection")


async def test_pages_follow_each_other_without_gap(gateway: Gateway) -> None:
    for name in ("a", "b", "c"):
        await gateway.http.post("/v1/collections", json={"name": name})
    seen, cursor = [], None
    while True:
        page = await gateway.get("/v1/collections", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [item["name"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ["a", "b", "c", "handbook"]


@pytest.mark.parametrize("name", ["", "Handbook", "a b", "a/b", "x" * 64, "-a", 7, None])
async def test_a_bad_name_is_refused_with_its_field(gateway: Gateway, name: object) -> None:
    body = problem(await gateway.http.post("/v1/collections", json={"name": name}), 422, "invalid_request")
    assert body["errors"][0]["field"] == "body.name"


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", "Basic abc", "bearer", "Bearer ключ"])
async def test_without_a_valid_key_nothing_is_answered(gateway: Gateway, header: str | None) -> None:
    gateway.http.headers.pop("Authorization")
    headers = {"Authorization": header.encode()} if header else {}
    for method, path in (("GET", "/v1/collections"), ("POST", "/v1/documents"), ("POST", "/v1/search")):
        response = await gateway.http.request(method, path, headers=headers)
        problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"


async def test_probes_and_documentation_are_open(gateway: Gateway) -> None:
    gateway.http.headers.pop("Authorization")
    for path in ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert (await gateway.http.get(path)).status_code == 200, path
    root = await gateway.http.get("/")
    assert (root.status_code, root.headers["location"]) == (307, "/docs")


async def test_the_documentation_page_needs_no_other_host(gateway: Gateway) -> None:
    page = (await gateway.http.get("/docs")).text
    assert "https://" not in page
    assert "http://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/assets/{asset}" in page
        assert (await gateway.http.get(f"/docs/assets/{asset}")).status_code == 200


async def test_unknown_paths_and_methods_are_problems_too(gateway: Gateway) -> None:
    problem(await gateway.http.get("/v2/documents"), 404, "not_found")
    refused = await gateway.http.put("/v1/documents")
    problem(refused, 405, "method_not_allowed")
    assert "allow" in refused.headers


async def test_requests_are_counted_by_route_pattern(gateway: Gateway) -> None:
    await gateway.http.get("/v1/collections/handbook")
    metrics = (await gateway.http.get("/metrics")).text
    assert (
        'rag_http_requests_total{method="GET",route="/v1/collections/{collection}",status="200"}' in metrics
    )
    assert "/v1/collections/handbook" not in metrics
