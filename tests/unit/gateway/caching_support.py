"""Answers from a script that a test writes while they are given."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from rag_common.contracts import AnswerDelta, AnswerDone, AnswerOpened, GeneratorDescription
from rag_common.errors import TransientError
from rag_gateway.domain.answers import AnswerEvent, Ask
from rag_gateway.domain.freshness import Look, Position

ASK = Ask("acme", ("*", "user:ann"), "How many days of leave?", timeout=30.0, collections=("handbook",))
POSITION = Position(database="db", xmin=100, active_space="minilm")
GENERATOR = GeneratorDescription(adapter="ollama", model="qwen2.5:3b", prompt_version="1")


def ask(**changes: Any) -> Ask:
    return replace(ASK, **changes)


def opened(attempt: int = 1, **changes: Any) -> AnswerOpened:
    fields = {
        "query_id": "secret",
        "attempt": attempt,
        "standalone": ASK.question,
        "passages": (),
        "mode": "hybrid",
        "space": "minilm",
        "adapter": "ollama",
        "model": "qwen2.5:3b",
        "prompt_version": "1",
    }
    return AnswerOpened.model_validate(fields | changes)


def delta(text: str, sequence: int = 1, attempt: int = 1) -> AnswerDelta:
    return AnswerDelta(query_id="secret", attempt=attempt, sequence=sequence, text=text)


def done(sequence: int = 2, attempt: int = 1, **changes: Any) -> AnswerDone:
    fields = {"query_id": "secret", "attempt": attempt, "sequence": sequence, "answered": True}
    return AnswerDone.model_validate(fields | changes)


WHOLE = (opened(), delta("28 days"), done())


class Script:
    """One answer: what the test says, when it says it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[AnswerEvent | Exception] = asyncio.Queue()
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.cancelled = False

    def say(self, *events: AnswerEvent | Exception) -> None:
        for event in events:
            self._queue.put_nowait(event)

    async def events(self) -> AsyncGenerator[AnswerEvent, None]:
        self.begun.set()
        event: AnswerEvent | Exception | None = None
        try:
            while not isinstance(event, AnswerDone):
                event = await self._queue.get()
                if isinstance(event, Exception):
                    raise event
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled = True
            raise
        finally:
            self.ended.set()


class Generator:
    """Answers each question by the next script; without one, by the whole answer."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.asked: list[Ask] = []

    async def __call__(self, ask: Ask) -> AsyncGenerator[AnswerEvent, None]:
        self.asked.append(ask)
        script = self._scripts.pop(0) if self._scripts else answered(*WHOLE)
        async for event in script.events():
            yield event


def answered(*events: AnswerEvent) -> Script:
    script = Script()
    script.say(*events)
    return script


class Registry:
    """Its history is a number; ``away`` makes it fail, ``hangs`` keeps everybody waiting."""

    def __init__(self) -> None:
        self.xmin = 100
        self.changed = 0
        self.active_space = "minilm"
        self.away = False
        self.hangs = False
        self.looks = 0

    def change(self) -> None:
        self.changed = self.xmin
        self.xmin += 1

    async def look(self, tenant: str, collections: tuple[str, ...], since: Position | None) -> Look:
        self.looks += 1
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise TransientError("the registry is away")
        now = Position(database="db", xmin=self.xmin, active_space=self.active_space)
        elsewhere = since is None or since.active_space != now.active_space
        return Look(now, elsewhere or (since is not None and self.changed >= since.xmin))


class Storage:
    max_bytes = 10_000

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.away = False

    async def get(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        if self.away:
            raise TransientError("NATS is away")
        return self.entries.get(key)

    async def put(self, key: str, entry: bytes) -> None:
        if self.away:
            raise TransientError("NATS is away")
        self.entries[key] = entry


class Counts:
    """``(what, of which kind)`` in the order in which they happened."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []

    def hit(self) -> None:
        self.all.append(("hit", ""))

    def followed(self) -> None:
        self.all.append(("followed", ""))

    def missed(self, reason: str) -> None:
        self.all.append(("missed", reason))

    def stored(self, size: int) -> None:
        assert size > 0
        self.all.append(("stored", ""))

    def not_stored(self, reason: str) -> None:
        self.all.append(("not stored", reason))


async def settle() -> None:
    """Let every task run until it waits for something that this test has to say."""
    for _ in range(50):
        await asyncio.sleep(0)
