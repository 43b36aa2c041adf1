"""OpenAI's protocol, by the official client, against a scripted generator."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from answers_support import Script, deltas, done, generator, opened, passage, says
from gateway_support import Gateway
from nats.aio.client import Client
from nats.aio.msg import Msg
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from rag_common.broker import flush
from rag_common.contracts import EmbedQuery, Message, QueryFailed, QueryVectors, RetrievePassages, Turn

SPACE = "all-minilm-l6-v2"
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How many days?"}]


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    key = gateway.http.headers["Authorization"].removeprefix("Bearer ")
    base_url = f"{gateway.http.base_url}/v1/"
    async with openai.AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0, timeout=30) as client:
        yield client


async def stream(
    client: openai.AsyncOpenAI,
    gateway: Gateway,
    script: Script,
    *,
    read: asyncio.Event | None = None,
    **options: Any,
) -> tuple[list[ChatCompletionChunk], openai.APIError | None]:
    """The chunks of an answer, and the error that ended it. ``read`` is set when the first text has come."""
    chunks: list[ChatCompletionChunk] = []
    async with generator(gateway.jetstream, gateway.topology, script):
        answer = await client.chat.completions.create(model="rag", messages=QUESTION, stream=True, **options)
        try:
            async for chunk in answer:
                chunks += [chunk]
                if read and text_of([chunk]):
                    read.set()
        except openai.APIError as error:
            return chunks, error
    return chunks, None


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def test_an_answer_comes_with_citations_and_passages(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    source = passage()
    script = says("28 days [1]", " a year.", of=source)
    async with generator(gateway.jetstream, gateway.topology, script) as asked:
        answer = await client.chat.completions.create(
            model="rag:handbook",
            messages=[
                {"role": "system", "content": "Answer as a pirate."},
                {"role": "user", "content": "Who gets leave?"},
                {"role": "assistant", "content": "Everyone [1]."},
                *QUESTION,
            ],
            temperature=0.3,
            max_tokens=99_999,
        )
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "28 days [1] a year.")
    assert (choice.finish_reason, answer.model, answer.object) == ("stop", "rag:handbook", "chat.completion")
    assert answer.usage is not None
    assert answer.usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}) == {
        "prompt_tokens": 40,
        "completion_tokens": 7,
        "total_tokens": 47,
    }
    rag = (answer.model_extra or {})["rag"]
    assert [(each["n"], each["text"]) for each in rag["passages"]] == [(1, source.text)]
    assert [(each["n"], each["document_id"]) for each in rag["citations"]] == [(1, source.document_id)]
    assert (rag["answered"], rag["degraded"], rag["adapter"]) == (True, False, "ollama")
    (query,) = asked
    assert (query.question, query.collections) == ("How many days?", ("handbook",))
    assert query.answer is not None
    assert query.answer.history == (Turn(question="Who gets leave?", answer="Everyone."),)
    assert query.answer.max_tokens == 8192
    rated = {"answer_id": rag["answer_id"], "rating": "up"}
    assert (await gateway.http.post("/v1/feedback", json=rated)).status_code == 201


async def test_a_stream_ends_with_citations_and_then_usage(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    script = says("28 days [1]", " a year.")
    chunks, error = await stream(client, gateway, script, stream_options={"include_usage": True})
    assert error is None
    assert text_of(chunks) == "28 days [1] a year."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    *_, end, usage = chunks
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert len((end.model_extra or {})["rag"]["citations"]) == 1
    assert (usage.choices, usage.usage and usage.usage.total_tokens) == ([], 47)
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_usage_comes_only_when_it_is_wanted(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    chunks, error = await stream(client, gateway, says("28 days"))
    assert error is None
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)


async def test_an_answer_that_was_cut_or_not_found_says_so(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    def cut(query: RetrievePassages) -> list[Message]:
        quoted = opened(query, passage(), adapter="extractive", model=None)
        ended = done(query, 2, finish="length", answered=False, prompt_tokens=None, completion_tokens=None)
        return [quoted, *deltas(query, "28"), ended]

    async with generator(gateway.jetstream, gateway.topology, cut):
        answer = await client.chat.completions.create(model="rag", messages=QUESTION)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 0
    assert (answer.model_extra or {})["rag"]["answered"] is False


async def test_an_answer_begun_anew_in_the_same_words_goes_on(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    read = asyncio.Event()

    def again(query: RetrievePassages) -> list[Message | asyncio.Event]:
        first = deltas(query, "28 ", "days")
        second = deltas(query, "28 days", " a year", attempt=3)
        return [
            opened(query, passage()),
            *first,
            read,
            opened(query, passage(), attempt=3),
            *second,
            done(query, 3, attempt=3),
        ]

    chunks, error = await stream(client, gateway, again, read=read)
    assert (text_of(chunks), error) == ("28 days a year", None)


async def test_an_answer_begun_anew_in_other_words_ends_with_an_error(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    read = asyncio.Event()

    def otherwise(query: RetrievePassages) -> list[Message | asyncio.Event]:
        second = deltas(query, "Everyone has 28 days", attempt=2)
        return [
            opened(query, passage()),
            *deltas(query, "28 "),
            read,
            opened(query, passage(), attempt=2),
            *second,
            done(query, 2, attempt=2),
        ]

    chunks, error = await stream(client, gateway, otherwise, read=read)
    assert text_of(chunks) == "28 "
    assert error is not None
    assert error.code == "answer_restarted"


async def test_a_missing_piece_ends_the_stream_with_an_error(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    read = asyncio.Event()

    def gap(query: RetrievePassages) -> list[Message | asyncio.Event]:
        first, _, third = deltas(query, "28", " days", " a year")
        return [opened(query, passage()), first, read, third]

    chunks, error = await stream(client, gateway, gap, read=read)
    assert text_of(chunks) == "28"
    assert error is not None
    assert (error.code, error.type) == ("answer_interrupted", "server_error")


async def test_an_error_before_the_answer_is_one_of_http(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    def fails(query: RetrievePassages) -> list[Message]:
        return [QueryFailed(query_id=query.query_id, code="embedder_unavailable", message="no embedder")]

    async with generator(gateway.jetstream, gateway.topology, fails):
        for streaming in (False, True):
            with pytest.raises(openai.InternalServerError) as failed:
                await client.chat.completions.create(model="rag", messages=QUESTION, stream=streaming)
            assert (failed.value.status_code, failed.value.code) == (503, "embedder_unavailable")
            assert failed.value.response.headers["retry-after"]


async def test_a_client_that_leaves_ends_the_work(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    cancelled: asyncio.Queue[str] = asyncio.Queue()

    async def note(message: Msg) -> None:
        await cancelled.put(message.subject)

    connection = gateway.jetstream._nc
    await connection.subscribe(f"{gateway.topology.namespace}.cancel.*", cb=note)
    await flush(connection)

    def endless(query: RetrievePassages) -> list[Message | asyncio.Event]:
        return [opened(query, passage()), *deltas(query, "28")]

    async with generator(gateway.jetstream, gateway.topology, endless) as asked:
        answer = await client.chat.completions.create(model="rag", messages=QUESTION, stream=True)
        async for chunk in answer:
            if chunk.choices[0].delta.content:
                break
        await answer.close()
        subject = await asyncio.wait_for(cancelled.get(), timeout=10)
    assert subject.endswith(asked[0].query_id)


async def test_what_cannot_be_done_is_a_bad_request(client: openai.AsyncOpenAI) -> None:
    image = [{"type": "image_url", "image_url": {"url": "http://x"}}]
    changes: list[tuple[dict[str, Any], str]] = [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": image}]}, "messages.0.content"),
    ]
    for change, param in changes:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(**{"model": "rag", "messages": QUESTION, **change})
        assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")


async def test_an_unknown_model_is_not_found(client: openai.AsyncOpenAI) -> None:
    for model in ("gpt-4o", "rag:", "rag:nowhere", "rag:handbook,nowhere", "rag:A b", "rag:\x00", "rag:a\n"):
        with pytest.raises(openai.NotFoundError) as refused:
            await client.chat.completions.create(model=model, messages=QUESTION)
        assert (refused.value.param, refused.value.code) == ("model", "model_not_found")


async def test_errors_of_any_kind_have_openais_form(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as unknown:
        await client.with_options(api_key="wrong").models.list()
    assert unknown.value.code == "invalid_api_key"
    path = "/v1/chat/completions"
    broken = {"content": b"{", "headers": {"content-type": "application/json"}}
    large = {"content": b" " * 9_000_000, "headers": {"content-type": "application/json"}}
    for request, status, code in (
        (gateway.http.post(path, **broken), 400, "malformed_body"),
        (gateway.http.post(path, **large), 413, "too_large"),
        (gateway.http.post(path, content=b"x"), 415, "unsupported_media_type"),
        (gateway.http.get(path), 405, "method_not_allowed"),
        (gateway.http.post("/v1/embeddings", json={"model": SPACE}), 400, "invalid_request"),
        (gateway.http.get("/v1/models/none", headers={"Accept-Language": "ru"}), 404, "model_not_found"),
    ):
        response = await request
        assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
        assert response.headers["content-type"] == "application/json"
        assert response.json()["error"].keys() == {"message", "type", "param", "code"}


async def test_models_are_the_collections(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    await gateway.http.post("/v1/collections", json={"name": "papers"})
    listed = [model async for model in client.models.list()]
    assert [model.id for model in listed] == ["rag", "rag:handbook", "rag:papers"]
    assert {model.owned_by for model in listed} == {"default"}
    for name in ("rag", "rag:papers", "rag:handbook,papers"):
        assert (await client.models.retrieve(name)).id == name
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("rag:nowhere")


@pytest.fixture
async def embedded(gateway: Gateway, nats_client: Client) -> AsyncIterator[list[EmbedQuery]]:
    """An embedder whose vector of a text is its length; what it was asked."""
    asked: list[EmbedQuery] = []

    async def answer(message: Msg) -> None:
        query = EmbedQuery.decode(message.data)
        asked.append(query)
        rows = b"".join(struct.pack("<2f", len(text), 0.1) for text in query.texts)
        vectors = base64.b64encode(rows).decode()
        await message.respond(QueryVectors(space=query.space, dimension=2, vectors=vectors).encode())

    subscription = await nats_client.subscribe(gateway.topology.subject(EmbedQuery), cb=answer)
    await flush(nats_client)
    yield asked
    await subscription.unsubscribe()


async def test_texts_are_encoded_in_batches(client: openai.AsyncOpenAI, embedded: list[EmbedQuery]) -> None:
    texts = ["x" * length for length in range(1, 151)]
    texts[100] = "x" * 8000
    answer = await client.embeddings.create(model=SPACE, input=texts)
    assert [row.index for row in answer.data] == list(range(150))
    assert [row.embedding[0] for row in answer.data] == [float(len(text)) for text in texts]
    assert [len(query.texts) for query in embedded] == [64, 36, 1, 49]
    assert {(query.space, query.side) for query in embedded} == {(SPACE, "question")}
    assert answer.model == SPACE


async def test_vectors_are_numbers_or_base64_of_float32(gateway: Gateway, embedded: list[EmbedQuery]) -> None:
    for encoding in ("float", "base64"):
        body = {"model": SPACE, "input": "days", "encoding_format": encoding, "input_type": "passage"}
        response = await gateway.http.post("/v1/embeddings", json=body)
        (row,) = response.json()["data"]
        vector = row["embedding"]
        if encoding == "base64":
            vector = list(struct.unpack("<2f", base64.b64decode(vector)))
        assert vector == pytest.approx([4.0, 0.1])
    assert [query.side for query in embedded] == ["passage", "passage"]


async def test_what_cannot_be_encoded_is_refused(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="arrays of tokens"):
        await client.embeddings.create(model=SPACE, input=[1, 2, 3])
    with pytest.raises(openai.BadRequestError, match="384 dimensions"):
        await client.embeddings.create(model=SPACE, input="days", dimensions=8)
    for name in ("text-embedding-3-small", "rag"):
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.embeddings.create(model=name, input="days")
        assert (unknown.value.param, unknown.value.code) == ("model", "model_not_found")


async def test_without_an_embedder_the_client_is_told_to_come_back(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as away:
        await client.embeddings.create(model=SPACE, input="days")
    assert (away.value.status_code, away.value.code) == (503, "embedder_unavailable")
    assert away.value.response.headers["retry-after"] == "1"


async def test_the_client_tries_again_by_itself(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    """The form of an error does not keep the official client from its retries."""
    tries: list[str] = []

    def script(query: RetrievePassages) -> list[Message | asyncio.Event]:
        tries.append(query.query_id)
        if len(tries) == 1:
            return [QueryFailed(query_id=query.query_id, code="overloaded", message="full")]
        return list(says("28 days")(query))

    async with generator(gateway.jetstream, gateway.topology, script):
        patient = client.with_options(max_retries=1)
        answer = await patient.chat.completions.create(model="rag", messages=QUESTION)
    assert answer.choices[0].message.content == "28 days"
