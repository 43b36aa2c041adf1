"""Problems come in the language that the client prefers; codes do not change."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field

from rag_common.errors import PermanentError
from rag_common.registry import UnknownCollection
from rag_gateway.problems import install, invalid_field


class Body(BaseModel):
    name: str
    count: int = Field(ge=1)


async def answer(language: str | None, path: str = "/thing", **options: Any) -> httpx.Response:
    app = FastAPI()
    install(app)

    @app.get("/thing")
    async def thing() -> None:
        raise UnknownCollection("handbok")

    @app.get("/field")
    async def field() -> None:
        raise invalid_field("files", "the upload has no file", "no_files")

    @app.get("/fault")
    async def fault() -> None:
        raise PermanentError("of our insides")

    @app.post("/thing")
    async def create(body: Body) -> None: ...

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        headers = {"Accept-Language": language} if language is not None else {}
        method = "POST" if "json" in options else "GET"
        return await http.request(method, path, headers=headers, **options)


@pytest.mark.parametrize("language", [None, "en", "de, en;q=0.5"])
async def test_english_is_the_default(language: str | None) -> None:
    response = await answer(language)
    assert response.json()["title"] == "Not Found"
    assert response.json()["detail"] == "there is no collection 'handbok'; create it first"
    assert response.headers["content-language"] == "en"
    assert response.headers["vary"] == "Accept-Language"


async def test_a_problem_is_russian_and_its_code_the_same() -> None:
    response = await answer("ru-RU, ru;q=0.9, en;q=0.8")
    problem = response.json()
    assert (problem["title"], problem["code"]) == ("Не найдено", "unknown_collection")
    assert problem["detail"] == "коллекции 'handbok' нет; сначала создайте её"
    assert response.headers["content-language"] == "ru"
    assert response.headers["vary"] == "Accept-Language"


async def test_wrong_fields_are_explained_in_russian() -> None:
    problem = (await answer("ru", json={"count": 0})).json()
    assert problem["errors"] == [
        {"field": "body.name", "message": "Обязательное поле"},
        {"field": "body.count", "message": "Значение должно быть не меньше 1"},
    ]
    assert problem["detail"] == "body.name: Обязательное поле; body.count: Значение должно быть не меньше 1"


async def test_one_wrong_field_is_explained_in_russian() -> None:
    problem = (await answer("ru", "/field")).json()
    assert problem["detail"] == "files: в загрузке нет файла"
    assert problem["errors"] == [{"field": "files", "message": "в загрузке нет файла"}]


@pytest.mark.parametrize(
    ("path", "title"), [("/nowhere", "Не найдено"), ("/fault", "Внутренняя ошибка сервера")]
)
async def test_what_the_framework_says_is_russian_too(path: str, title: str) -> None:
    problem = (await answer("ru", path)).json()
    assert problem["title"] == title
    assert problem["detail"].isascii() is False
