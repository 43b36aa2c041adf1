"""What a user gets in every way that Ollama can fail, against a fake that speaks its API over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing

import httpx
import pytest

from rag_common.testing.ollama_server import BUSY, MODEL, VERSION, Generation, OllamaServer
from rag_generator.adapters.models import open_models
from rag_generator.domain import choosing
from rag_generator.domain.choosing import Models
from rag_generator.domain.llm import (
    LLM,
    ChatMessage,
    ModelMissing,
    ModelRefused,
    ModelUnavailable,
    Piece,
    Prompt,
)
from rag_generator.settings import GeneratorSettings

PROMPT = Prompt((ChatMessage("system", "Be brief."), ChatMessage("user", "Why is that?")), max_tokens=50)
ENDLESS = Generation(tokens=("again ",) * 100_000, delay=0.01)


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


@pytest.fixture
async def models(ollama: OllamaServer) -> AsyncIterator[Models]:
    async with open_models(settings(ollama, llm="ollama")) as opened:
        yield opened


@pytest.fixture
async def llm(models: Models) -> LLM:
    chosen = models.current()
    assert chosen is not None
    return chosen


def settings(ollama: OllamaServer, **others: object) -> GeneratorSettings:
    return GeneratorSettings(**{"ollama_url": ollama.url, "llm_first_token_timeout": 20.0, **others})  # type: ignore[arg-type]


async def pieces_of(llm: LLM) -> list[Piece]:
    async with aclosing(llm.stream(PROMPT)) as pieces:
        return [piece async for piece in pieces]


async def text_of(llm: LLM) -> str:
    return "".join(piece.text for piece in await pieces_of(llm))


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.01)


async def test_an_answer_streams_and_ends_with_its_counts(ollama: OllamaServer, llm: LLM) -> None:
    *pieces, last = await pieces_of(llm)
    assert [piece.text for piece in pieces] == ["A ", "fake ", "answer ", "[1]."]
    assert last == Piece("", "stop", prompt_tokens=5, completion_tokens=4)
    assert (llm.adapter, llm.model, llm.context_tokens) == ("ollama", MODEL, 8192)


async def test_what_ollama_would_decide_by_itself_is_told(ollama: OllamaServer, llm: LLM) -> None:
    """Its own context is shorter, and what does not fit is cut off silently."""
    await text_of(llm)
    body = dict(next(body for path, body in ollama.asked if path == "/api/chat"))
    assert body["options"]["num_ctx"] == 8192
    assert body["options"]["num_predict"] == PROMPT.max_tokens
    assert body["options"]["temperature"] < 0.5
    assert (body["keep_alive"], body["think"], body["stream"]) == ("30m", False, True)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why is that?"},
    ]


async def test_tokens_arrive_one_by_one(ollama: OllamaServer, llm: LLM) -> None:
    ollama.then(Generation(tokens=("one ", "two"), ending="silence"))
    async with aclosing(llm.stream(PROMPT)) as pieces:
        assert (await anext(pieces)).text == "one "
        assert (await anext(pieces)).text == "two"


async def test_an_answer_at_its_greatest_length_says_so(ollama: OllamaServer, llm: LLM) -> None:
    ollama.then(Generation(tokens=("word ",) * 60))
    last = (await pieces_of(llm))[-1]
    assert (last.finish, last.completion_tokens) == ("length", 50)


async def test_closing_an_answer_ends_it_at_ollama(ollama: OllamaServer, llm: LLM) -> None:
    ollama.then(ENDLESS)
    async with aclosing(llm.stream(PROMPT)) as pieces:
        await anext(pieces)
        assert ollama.running == 1
    await eventually(lambda: (ollama.running, ollama.closed) == (0, 1))


async def test_cancelling_the_reader_ends_the_answer_before_its_first_token_too(
    ollama: OllamaServer, llm: LLM
) -> None:
    ollama.then(Generation(first_delay=600))
    reader = asyncio.create_task(text_of(llm))
    await eventually(lambda: ollama.running == 1)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await eventually(lambda: (ollama.running, ollama.closed) == (0, 1))
    assert await text_of(llm) == "A fake answer [1]."


async def test_a_missing_model_is_told_with_its_cure(ollama: OllamaServer, llm: LLM) -> None:
    ollama.models.clear()
    with pytest.raises(ModelMissing, match=f"ragp models pull {MODEL}"):
        await text_of(llm)


async def test_a_busy_ollama_is_told_as_such(ollama: OllamaServer, llm: LLM) -> None:
    ollama.then(BUSY)
    with pytest.raises(ModelUnavailable, match="busy") as busy:
        await text_of(llm)
    assert busy.value.code == "model_busy"
    assert await text_of(llm) == "A fake answer [1]."


async def test_a_refused_request_is_told_in_ollamas_words(ollama: OllamaServer, llm: LLM) -> None:
    ollama.then(Generation(status=400, error="invalid options: num_ctx"))
    with pytest.raises(ModelRefused, match="invalid options: num_ctx"):
        await text_of(llm)


async def test_a_model_that_cannot_be_run_is_told_in_ollamas_words(ollama: OllamaServer, llm: LLM) -> None:
    ollama.then(Generation(status=500, error="model requires more system memory (5 GiB) than is available"))
    with pytest.raises(ModelUnavailable, match="more system memory"):
        await text_of(llm)


async def test_an_ollama_that_is_away_is_told_at_once(ollama: OllamaServer, llm: LLM) -> None:
    ollama.stop()
    with pytest.raises(ModelUnavailable, match="Ollama does not answer"):
        await text_of(llm)


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("cut", "broke off"),
        ("malformed", "not understood"),
        ("error", "something went wrong"),
    ],
)
async def test_an_answer_that_ends_badly_keeps_its_beginning_and_says_why(
    ollama: OllamaServer, llm: LLM, ending: str, told: str
) -> None:
    ollama.then(Generation(tokens=("A ", "begin"), ending=ending))  # type: ignore[arg-type]
    heard: list[str] = []

    async def listen() -> None:
        async for piece in llm.stream(PROMPT):
            heard.append(piece.text)  # noqa: PERF401 - what came before the failure is wanted

    with pytest.raises(ModelUnavailable, match=told):
        await listen()
    assert heard == ["A ", "begin"]


@pytest.mark.parametrize(
    "generation", [Generation(first_delay=600), Generation(tokens=("A ",), ending="silence")]
)
async def test_a_model_that_says_nothing_is_given_up_and_stopped(
    ollama: OllamaServer, generation: Generation
) -> None:
    quick = settings(ollama, llm="ollama", llm_first_token_timeout=0.3, llm_idle_timeout=0.3)
    async with open_models(quick) as models:
        llm = models.current()
        assert llm is not None
        ollama.then(generation)
        with pytest.raises(ModelUnavailable, match=r"said nothing for 0\.3 s"):
            await text_of(llm)
        await eventually(lambda: (ollama.running, ollama.closed) == (0, 1))


async def test_a_model_that_was_unloaded_is_loaded_again_by_a_question(
    ollama: OllamaServer, llm: LLM
) -> None:
    await eventually(lambda: MODEL in ollama.loaded)
    ollama.loaded.clear()
    ollama.load_seconds = 0.2
    assert await text_of(llm) == "A fake answer [1]."
    assert MODEL in ollama.loaded


async def test_the_model_is_loaded_before_the_first_question(ollama: OllamaServer, models: Models) -> None:
    await eventually(lambda: MODEL in ollama.loaded)
    body = next(body for path, body in ollama.asked if path == "/api/generate")
    # Another context would have it loaded again by the first question.
    assert body["options"] == {"num_ctx": 8192}
    assert body["keep_alive"] == "30m"


async def reason(models: Models) -> str | None:
    return (await models.describe("v1")).reason


async def test_a_model_that_was_unloaded_is_loaded_again_before_anybody_asks(
    ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "RECHECK_SECONDS", 0.01)
    monkeypatch.setattr(choosing, "CHECK_SECONDS", 0.01)
    async with open_models(settings(ollama)):
        for _ in range(2):
            await eventually(lambda: MODEL in ollama.loaded)
            ollama.loaded.clear()
        await eventually(lambda: MODEL in ollama.loaded)


async def test_a_question_to_a_model_that_is_being_loaded_waits_for_it(ollama: OllamaServer) -> None:
    ollama.load_seconds = 0.5
    async with open_models(settings(ollama)) as models:
        assert await reason(models) == f"the model {MODEL} is being loaded"
        llm = models.current()
        assert llm is not None
        assert await text_of(llm) == "A fake answer [1]."
        await models.refresh()
        assert await reason(models) is None


@pytest.mark.parametrize(("keep_alive", "again"), [("0", False), ("1ms", False), ("5m", True), ("-1m", True)])
async def test_a_model_that_ollama_lets_go_by_our_own_wish_is_left_unloaded(
    ollama: OllamaServer, keep_alive: str, again: bool
) -> None:
    async with open_models(settings(ollama, ollama_keep_alive=keep_alive)) as models:
        await eventually(lambda: MODEL in ollama.loaded)
        llm = models.current()
        assert llm is not None
        await text_of(llm)
        ollama.loaded.clear()
        await asyncio.sleep(0.01)
        await models.refresh()
        assert (await reason(models) is not None) == again


async def test_an_ollama_that_keeps_failing_is_left_alone(ollama: OllamaServer, llm: LLM) -> None:
    ollama.usual = Generation(ending="cut")
    for _ in range(3):
        with pytest.raises(ModelUnavailable, match="broke off"):
            await text_of(llm)
    asked = len(ollama.asked)
    with pytest.raises(ModelUnavailable, match="given a rest"):
        await text_of(llm)
    assert len(ollama.asked) == asked


async def test_auto_takes_ollama_where_it_has_the_model(ollama: OllamaServer) -> None:
    ollama.loaded.add(MODEL)
    async with open_models(settings(ollama)) as models:
        described = await models.describe("v1")
        assert (described.adapter, described.model, described.models) == ("ollama", MODEL, (MODEL,))
        assert described.reason is None


async def test_auto_quotes_until_the_model_is_pulled(ollama: OllamaServer) -> None:
    ollama.models[:] = ["llama3.2:latest"]
    async with open_models(settings(ollama)) as models:
        assert models.current() is None
        described = await models.describe("v1")
        assert f"ragp models pull {MODEL}" in (described.reason or "")
        assert described.models == ("llama3.2:latest",)
        ollama.models.append(MODEL)
        await models.refresh()
        assert models.current() is not None


async def test_auto_quotes_without_ollama(ollama: OllamaServer) -> None:
    ollama.stop()
    async with open_models(settings(ollama)) as models:
        assert models.current() is None
        assert (await models.describe("v1")).reason == "Ollama does not answer"
        ollama.start()
        ollama.loaded.add(MODEL)
        await models.refresh()
        assert (await models.describe("v1")).reason is None


async def test_a_name_without_a_tag_is_the_latest(ollama: OllamaServer) -> None:
    ollama.models[:] = ["llama3.2:latest"]
    async with open_models(settings(ollama, llm_model="llama3.2")) as models:
        assert (await models.describe("v1")).model == "llama3.2"


async def test_something_else_on_that_port_is_no_ollama(ollama: OllamaServer) -> None:
    async with open_models(settings(ollama, ollama_url=f"{ollama.url}/nothing/here")) as models:
        assert (await models.describe("v1")).reason == "what answers at RAG_OLLAMA_URL is no Ollama"


async def test_the_fake_says_that_it_is_one(ollama: OllamaServer) -> None:
    async with httpx.AsyncClient(base_url=ollama.url) as http:
        assert (await http.get("/api/version")).json() == {"version": VERSION}
        assert "fake" in VERSION
        shown = (await http.post("/api/show", json={"model": MODEL})).json()
        assert shown["details"]["family"] == "fake"
        whole = (
            await http.post(
                "/api/chat", json={"model": MODEL, "messages": [{"content": "hi"}], "stream": False}
            )
        ).json()
        assert whole["message"]["content"] == "A fake answer [1]."
        assert (whole["done"], whole["done_reason"]) == (True, "stop")
