"""In-memory neighbours of the retriever's use cases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from uuid import UUID

import numpy as np

from rag_common.contracts import NOWHERE, DocumentRef, Message, Place, RewriteQuestion
from rag_retriever.domain.index import ChunkKey, GenerationKey, Hit, Point, SearchSpec, SparseVector, Vector
from rag_retriever.domain.ports import RewriterUnavailable

T = TypeVar("T")


@dataclass(frozen=True)
class FakeSpace:
    name: str = "minilm"
    dimension: int = 2
    languages: tuple[str, ...] = ("en",)


class FakeSpaces:
    def __init__(self, space: FakeSpace = FakeSpace()) -> None:
        self.space = space

    async def active(self) -> FakeSpace:
        return self.space

    async def get(self, name: str) -> FakeSpace:
        return self.space


class FakeSparse:
    """One term per word."""

    def encode_documents(self, texts: Sequence[str], languages: tuple[str, ...]) -> list[SparseVector]:
        return [self.encode_query(text, languages) for text in texts]

    def encode_query(self, question: str, languages: tuple[str, ...]) -> SparseVector:
        count = len(question.split())
        return SparseVector(np.arange(count, dtype=np.uint32), np.ones(count, np.float32))


@dataclass(frozen=True)
class FakeSource:
    texts: dict[int, str]
    acl: tuple[str, ...] = ("*",)
    acl_version: int = 1
    collection_id: str = "c-1"
    collection: str = "handbook"
    source_uri: str = "a.md"
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FakeCompletion:
    outcome: Literal["pending", "live", "refused", "acl_changed"]
    purge: tuple[int, ...] = ()


@dataclass(frozen=True)
class FakePlan:
    whole: bool = False
    generations: tuple[int, ...] = ()
    upload_ids: tuple[str, ...] = ()


@dataclass
class FakeRegistry:
    """Answers from the lists, first to last; the last answer stays."""

    sources: list[FakeSource | None] = field(default_factory=list)
    completions: list[FakeCompletion] = field(default_factory=list)
    versions: list[bool] = field(default_factory=lambda: [True])
    plan: FakePlan | None = None
    unknown: list[tuple[str, int]] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    async def source(self, document: DocumentRef, numbers: Sequence[int]) -> FakeSource | None:
        return _next(self.sources)

    async def complete(
        self, document: DocumentRef, space: str, batch: int, acl_version: int
    ) -> FakeCompletion:
        self.calls.append(("complete", batch, acl_version))
        return _next(self.completions)

    async def update_source(self, tenant: str, document_id: str) -> FakeSource | None:
        return _next(self.sources)

    async def updated(self, tenant: str, document_id: str, acl_version: int) -> bool:
        self.calls.append(("updated", acl_version))
        return _next(self.versions)

    async def purge_plan(self, tenant: str, document_id: str, generations: Sequence[int]) -> FakePlan | None:
        return self.plan

    async def purged(self, tenant: str, plan: FakePlan, *, points: int, objects: int) -> None:
        self.calls.append(("purged", points, objects))

    async def unknown_generations(self, generations: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        return [pair for pair in generations if pair in self.unknown]


def _next(answers: list[T]) -> T:
    return answers.pop(0) if len(answers) > 1 else answers[0]


class FakeIndex:
    """Points in a dictionary; ``deaf`` ignores deletes. Searches are answered by ``hits``."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.points: dict[UUID, Point] = {}
        self.dimension: int | None = None
        self.deaf = deaf

    async def claim(self, installation_id: str) -> None: ...

    async def ensure_space(self, space: str, dimension: int) -> None:
        self.dimension = dimension

    async def spaces(self) -> tuple[str, ...]:
        return ("minilm",)

    async def upsert(self, space: str, points: Sequence[Point]) -> None:
        self.points.update({point.id: point for point in points})

    async def set_access(
        self,
        space: str,
        tenant: str,
        document_id: str,
        *,
        collection_id: str,
        acl: tuple[str, ...],
        meta: Mapping[str, Any],
    ) -> None:
        self.access = (acl, dict(meta))

    async def delete_points(self, space: str, ids: Sequence[UUID]) -> None:
        for point in ids:
            self.points.pop(point, None)

    async def delete_document(
        self, space: str, tenant: str, document_id: str, generations: tuple[int, ...] = ()
    ) -> None:
        if not self.deaf:
            for point in self._of(tenant, document_id, generations):
                del self.points[point]

    async def count_document(
        self, space: str, tenant: str, document_id: str, generations: tuple[int, ...] = ()
    ) -> int:
        return len(self._of(tenant, document_id, generations))

    async def count(self, space: str) -> int:
        return len(self.points)

    async def generations(self, space: str) -> dict[GenerationKey, int]:
        keys = [
            GenerationKey(point.payload.tenant, point.payload.document_id, point.payload.generation)
            for point in self.points.values()
        ]
        return {key: keys.count(key) for key in keys}

    async def query_batch(self, specs: Sequence[SearchSpec]) -> list[list[Hit]]:
        return [[] for _ in specs]

    async def close(self) -> None: ...

    def _of(self, tenant: str, document_id: str, generations: tuple[int, ...]) -> list[UUID]:
        return [
            identity
            for identity, point in self.points.items()
            if (point.payload.tenant, point.payload.document_id) == (tenant, document_id)
            and (not generations or point.payload.generation in generations)
        ]


class FakeOutbox:
    def __init__(self) -> None:
        self.published: list[Message] = []
        self.ids: list[str] = []
        self.hints: list[Message] = []

    async def publish(self, message: Message, *, msg_id: str, **tokens: str) -> None:
        self.published.append(message)
        self.ids.append(msg_id)

    async def hint(self, message: Message, **tokens: str) -> None:
        self.hints.append(message)


class FakeObjects:
    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def delete(self, name: str) -> None:
        self.deleted.append(name)


@dataclass(frozen=True)
class FakePassage:
    text: str
    place: Place = NOWHERE
    start: int = 0
    end: int = 1
    heading: tuple[str, ...] = ()
    collection: str = "handbook"
    title: str = "A"
    source_uri: str = "a.md"
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FakeChunk:
    text: str
    start: int
    end: int
    place: Place = NOWHERE
    heading: tuple[str, ...] = ()
    gap: str | None = None


class FakePassages:
    """Admits what ``admit`` says; remembers what it was asked."""

    def __init__(self, admit: Callable[[ChunkKey], bool] = lambda _: True) -> None:
        self._admit = admit
        self.asked: list[list[ChunkKey]] = []
        self.principals: Sequence[str] = ()

    async def admitted(
        self,
        tenant: str,
        principals: Sequence[str],
        collections: Sequence[str],
        proposed: Sequence[ChunkKey],
    ) -> dict[tuple[str, int, int], FakePassage]:
        self.asked.append(list(proposed))
        self.principals = principals
        return {key: FakePassage(f"text {key.no}") for key in proposed if self._admit(key)}

    async def neighbours(
        self,
        tenant: str,
        principals: Sequence[str],
        collections: Sequence[str],
        windows: Sequence[tuple[str, int, int, int, int, int]],
    ) -> dict[tuple[str, int], dict[int, FakeChunk]]:
        """None of a plain search."""
        raise AssertionError("no search of this test reads wide")


class FakeLibrary:
    """Documents of chunks that follow each other, in one collection; ``hidden`` ones are not admitted.

    As an index it proposes the chunks in the order of ``ranking``, as (document, number).
    """

    def __init__(self, documents: Mapping[str, Sequence[str]], ranking: Sequence[tuple[str, int]]) -> None:
        self._ranking = ranking
        self.hidden: set[str] = set()
        self.reads: list[str] = []
        self.chunks: dict[str, dict[int, FakeChunk]] = {}
        for document, texts in documents.items():
            start = 0
            self.chunks[document] = {}
            for no, text in enumerate(texts):
                self.chunks[document][no] = FakeChunk(text, start, start + len(text), gap="\n")
                start += len(text) + 1

    async def propose(self, spec: SearchSpec) -> list[Hit]:
        self.reads.append(f"index {spec.limit}")
        return [
            Hit(ChunkKey(document, 1, no), 1 / rank, {"sparse": rank})
            for rank, (document, no) in enumerate(self._ranking[: spec.limit], 1)
        ]

    async def admitted(
        self,
        tenant: str,
        principals: Sequence[str],
        collections: Sequence[str],
        proposed: Sequence[ChunkKey],
    ) -> dict[tuple[str, int, int], FakePassage]:
        self.reads.append(f"texts {len(proposed)}")
        return {
            key: FakePassage(chunk.text, chunk.place, chunk.start, chunk.end, source_uri=key.document_id)
            for key in proposed
            if key.document_id not in self.hidden
            for chunk in [self.chunks[key.document_id][key.no]]
        }

    async def neighbours(
        self,
        tenant: str,
        principals: Sequence[str],
        collections: Sequence[str],
        windows: Sequence[tuple[str, int, int, int, int, int]],
    ) -> dict[tuple[str, int], dict[int, FakeChunk]]:
        self.reads.append(f"neighbours {len(windows)}")
        found: dict[tuple[str, int], dict[int, FakeChunk]] = {}
        for document, generation, first, last, start, end in windows:
            for no, chunk in self.chunks[document].items():
                inside = first <= no <= last and start <= chunk.start and chunk.end <= end
                if inside and document not in self.hidden:
                    found.setdefault((document, generation), {})[no] = chunk
        return found


class FakeReranker:
    """Likes long texts, or raises the error."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.asked: list[list[str]] = []

    async def __call__(self, question: str, texts: Sequence[str], within: float) -> list[float]:
        self.asked.append(list(texts))
        if self._error is not None:
            raise self._error
        return [float(len(text)) for text in texts]


class FakeRewriter:
    """Answers ``answer``, or has no model."""

    def __init__(self) -> None:
        self.answer: str | None = None
        self.asked: list[tuple[RewriteQuestion, float]] = []

    async def __call__(self, request: RewriteQuestion, within: float) -> str:
        self.asked.append((request, within))
        if self.answer is None:
            raise RewriterUnavailable("there is no model")
        return self.answer


class FakeCollections:
    async def ids(self, tenant: str, names: tuple[str, ...]) -> dict[str, str]:
        return {name: f"id-{name}" for name in names if name != "absent"}


class FakeProposer:
    """An index of ``size`` chunks, the best first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.specs: list[SearchSpec] = []

    async def __call__(self, spec: SearchSpec) -> list[Hit]:
        self.specs.append(spec)
        count = min(self._size, spec.limit)
        return [Hit(ChunkKey("d", 1, no), 1 / (no + 1), {"sparse": no + 1}) for no in range(count)]


class FakeEncoder:
    """A vector of ``dimension`` ones, or the error."""

    def __init__(self, dimension: int = 2, error: Exception | None = None) -> None:
        self._dimension = dimension
        self._error = error
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, question: tuple[str, str]) -> Vector:
        self.asked.append(question)
        if self._error is not None:
            raise self._error
        return np.ones(self._dimension, np.float32)
