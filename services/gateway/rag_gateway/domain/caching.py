"""Answers that were given before, or are being given, for whoever asks the same again.

An earlier answer stands for a question if it was made for the same question (see
:mod:`rag_gateway.domain.cache_keys`) and nothing has changed in the documents since before its search began.
That is so for one that is stored and for one that is still being written: somebody who asks after a
permission was withdrawn must not see an answer that was begun before. So both are judged here by one look at
the registry. Keeping is innermost, inside of what is shared: an answer is kept once, with the position from
before its own search, even if whoever asked first has left.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import structlog
from pydantic import ValidationError

from rag_common.contracts import GeneratorDescription
from rag_common.errors import Overloaded, RagError
from rag_gateway.domain.answers import AnswerEvent, Answers, Ask, CollectedAnswer
from rag_gateway.domain.cache_keys import Writer, cache_key, sharing_key
from rag_gateway.domain.freshness import Changes, Look, Position
from rag_gateway.domain.sharing import SharedAnswer, SharedAnswers
from rag_gateway.domain.stored_answers import StoredAnswer, reason_not_to_keep

LOOKUP_SECONDS = 1.0
"""Longest wait for each of the places that an earlier answer is looked for in."""

_log = structlog.get_logger(__name__)

T = TypeVar("T")
Describe = Callable[[], Awaitable[GeneratorDescription | None]]
"""Who writes the answers now; ``None``: nobody says so."""


class AnswerStorage(Protocol):
    """Where answers are kept for some time. Keys are hexadecimal digits."""

    max_bytes: int
    """Of one entry; a longer one is not kept."""

    async def get(self, key: str) -> bytes | None:
        """:raises RagError: the storage is away, or not as it should be."""

    async def put(self, key: str, entry: bytes) -> None:
        """:raises RagError: the storage is away, or not as it should be."""


class CacheCounts(Protocol):
    """What is counted."""

    def hit(self) -> None: ...
    def followed(self) -> None: ...
    def missed(self, reason: str) -> None: ...
    def stored(self, size: int) -> None: ...
    def not_stored(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is for a question: a stored answer that stands, or the reason why there is none."""

    stored: StoredAnswer | None = None
    look: Look | None = None
    reason: str = ""


class _Miss(Exception):
    """An answer cannot be found, or kept; the argument is the reason."""


class CachedAnswers:
    """The outer layer of those that answer; see :class:`rag_gateway.domain.answers.Answers`.

    Whatever goes wrong with finding or keeping answers is counted and logged, and the question is asked. But
    without the registry nobody can answer: its failure is the answer's.
    """

    def __init__(
        self,
        answers: Answers,
        shared: SharedAnswers,
        changes: Changes,
        storage: AnswerStorage | None,
        describe: Describe,
        counts: CacheCounts,
        *,
        most: int,
    ) -> None:
        """:param storage: ``None``: answers are shared while they are written, and not kept.

        :param most: questions at once, whoever answers them.
        """
        self._answers = answers
        self._shared = shared
        self._changes = changes
        self._storage = storage
        self._describe = describe
        self._counts = counts
        self._most = most
        self._open = 0
        self._broken: set[str] = set()

    async def __call__(self, ask: Ask) -> AsyncGenerator[AnswerEvent, None]:
        """The events of an earlier answer, of one that is being written, or of a new one."""
        if self._open >= self._most:
            raise Overloaded("too many questions at once; try again in a moment")
        self._open += 1
        try:
            async with aclosing(self._answer(ask)) as events:
                async for event in events:
                    yield event
        finally:
            self._open -= 1

    async def _answer(self, ask: Ask) -> AsyncGenerator[AnswerEvent, None]:
        clock = asyncio.get_running_loop().time
        arrived = clock()
        key = sharing_key(ask)
        earlier = self._shared.running(key) if ask.cache else None
        found = await self._find(ask, earlier)
        if found.stored is not None:
            self._counts.hit()
            for event in found.stored.events(clock() - arrived):
                yield event
            return
        left = max(ask.timeout - (clock() - arrived), 0.0)
        # Nothing is awaited between this and following: of many who ask at once one starts.
        shared = self._to_follow(key, ask, earlier, found.look)
        if shared is not None:
            self._counts.followed()
        else:
            self._counts.missed(found.reason)
            position = found.look.position if found.look else None
            events = self._written(replace(ask, timeout=left), position)
            shared = self._shared.start(key, events, position=position, timeout=left)
        async with aclosing(shared.follow(left)) as following:
            async for event in following:
                yield event

    def _to_follow(
        self, key: str, ask: Ask, earlier: SharedAnswer | None, look: Look | None
    ) -> SharedAnswer | None:
        """An answer that is being written and stands for this question."""
        running = self._shared.running(key)
        if not ask.cache or running is None or not running.admits(ask.timeout):
            return None
        # One that was started after this question came searches what this question would search.
        unchanged = running is not earlier or (look is not None and not look.changed)
        return running if unchanged else None

    async def _find(self, ask: Ask, earlier: SharedAnswer | None) -> _Found:
        stored, reason = None, "running"
        if earlier is None:
            try:
                stored = await self._stored(ask)
            except _Miss as miss:
                reason = str(miss)
        since = earlier.position if earlier else stored.position if stored else None
        try:
            looking = self._changes.look(ask.tenant, ask.collections, since)
            look = await self._within(looking, "registry", misses=TimeoutError)
        except _Miss as miss:
            return _Found(reason=str(miss))
        if look.changed:
            return _Found(look=look, reason="changed" if since else reason)
        return _Found(stored, look, reason)

    async def _stored(self, ask: Ask) -> StoredAnswer:
        """:raises _Miss: there is none, or none is wanted."""
        if self._storage is None:
            raise _Miss("off")
        if not ask.cache:
            raise _Miss("unwanted")
        generator = await self._within(self._describe(), "generator")
        if generator is None:
            raise _Miss("generator")
        writer = Writer(generator.adapter, generator.model, generator.prompt_version)
        entry = await self._within(self._storage.get(cache_key(ask, writer)), "storage")
        if entry is None:
            raise _Miss("absent")
        try:
            return StoredAnswer.model_validate_json(entry)
        except ValidationError as error:
            self._note("entry", error)
            raise _Miss("damaged") from error

    async def _written(self, ask: Ask, position: Position | None) -> AsyncGenerator[AnswerEvent, None]:
        """A new answer, which is kept when it is complete."""
        answer = CollectedAnswer()
        async with aclosing(self._answers(ask)) as events:
            async for event in events:
                answer.add(event)
                yield event
        if self._storage is not None and position is not None:
            await self._keep(self._storage, ask, position, answer)

    async def _keep(
        self, storage: AnswerStorage, ask: Ask, position: Position, answer: CollectedAnswer
    ) -> None:
        opened, done = answer.opened, answer.done
        if opened is None or done is None:
            return
        try:
            if reason := reason_not_to_keep(ask, position, opened, done):
                raise _Miss(reason)
            entry = StoredAnswer.of(position, opened, answer, done).model_dump_json().encode()
            if len(entry) > storage.max_bytes:
                raise _Miss("size")
            # by who has written it, which may not be who was expected to
            writer = Writer(opened.adapter, opened.model, opened.prompt_version)
            await self._within(storage.put(cache_key(ask, writer), entry), "storage")
        except _Miss as miss:
            self._counts.not_stored(str(miss))
        else:
            self._counts.stored(len(entry))

    async def _within(
        self,
        call: Awaitable[T],
        part: str,
        misses: type[Exception] | tuple[type[Exception], ...] = (RagError, TimeoutError),
    ) -> T:
        """:raises _Miss: the part has failed so, a ``TimeoutError`` being what takes too long."""
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                result = await call
        except misses as error:
            self._note(part, error)
            raise _Miss(part) from error
        self._broken.discard(part)
        return result

    def _note(self, part: str, error: Exception) -> None:
        """Logged once, until the part works again."""
        if part not in self._broken:
            self._broken.add(part)
            _log.warning("answer_cache_unavailable", part=part, reason=str(error) or type(error).__name__)
