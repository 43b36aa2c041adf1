"""What the retriever needs from outside, besides the index."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, Protocol, TypeVar

from pydantic import JsonValue

from rag_common.contracts import DocumentRef, Message, Place, RewriteQuestion
from rag_common.errors import TransientError
from rag_retriever.domain.index import ChunkKey, SparseVector, Vector


class EncoderUnavailable(TransientError):
    """No embedder has encoded the question in time."""

    code = "embedder_unavailable"


class RerankerUnavailable(TransientError):
    """No cross-encoder has scored the texts in time."""

    code = "reranker_unavailable"


class RewriterUnavailable(TransientError):
    """No model has made a question standalone in time."""

    code = "rewriter_unavailable"


class Space(Protocol):
    """An embedding space, as the registry describes it."""

    @property
    def name(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    @property
    def languages(self) -> tuple[str, ...]: ...


class Spaces(Protocol):
    async def active(self) -> Space:
        """The space that searches use; at most some seconds old while the registry can be read."""

    async def get(self, name: str) -> Space:
        """:raises PermanentError: the registry has no such space."""


class SparseEncoder(Protocol):
    """BM25 weights of texts and questions; needs no model and no network."""

    def encode_documents(self, texts: Sequence[str], languages: tuple[str, ...]) -> list[SparseVector]:
        """Term weights, without IDF: the index knows how rare a term is. ``languages``: the space's."""

    def encode_query(self, question: str, languages: tuple[str, ...]) -> SparseVector:
        """Every distinct term with weight 1; empty when the question has only stop words."""


DenseEncoder = Callable[[tuple[str, str]], Awaitable[Vector]]
"""The vector of (space, question); raises :class:`EncoderUnavailable` without a usable answer in time."""


class Reranker(Protocol):
    async def __call__(self, question: str, texts: Sequence[str], within: float) -> Sequence[float]:
        """How well each text answers the question: higher is better. ``within``: seconds at most.

        :raises RerankerUnavailable: no usable answer in time.
        """


class Rewriter(Protocol):
    async def __call__(self, request: RewriteQuestion, within: float) -> str:
        """The question as it would be asked without the conversation. ``within``: seconds at most; whoever
        rewrites is told of them in the place of ``request.deadline``.

        :raises RewriterUnavailable: no usable answer in time.
        """


class PassageText(Protocol):
    """A chunk that the registry vouches for, with its document."""

    @property
    def text(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def place(self) -> Place: ...
    @property
    def heading(self) -> tuple[str, ...]: ...
    @property
    def collection(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def source_uri(self) -> str: ...
    @property
    def metadata(self) -> dict[str, JsonValue]: ...


class NeighbourText(Protocol):
    """A chunk with what joins it to the one before."""

    @property
    def text(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def place(self) -> Place: ...
    @property
    def heading(self) -> tuple[str, ...]: ...
    @property
    def gap(self) -> str | None:
        """The text between the chunk before and this one; ``None``: not known."""


class Passages(Protocol):
    async def admitted(
        self,
        tenant: str,
        principals: Sequence[str],
        collections: Sequence[str],
        proposed: Sequence[ChunkKey],
    ) -> Mapping[tuple[str, int, int], PassageText]:
        """Of the proposed chunks those that the caller may read now. ``collections``: names."""

    async def neighbours(
        self,
        tenant: str,
        principals: Sequence[str],
        collections: Sequence[str],
        windows: Sequence[tuple[str, int, int, int, int, int]],
    ) -> Mapping[tuple[str, int], Mapping[int, NeighbourText]]:
        """Document and generation → number → chunk, of the windows that the caller may read now.

        A window: document, generation, first and last number, offsets between which chunks lie entirely.
        Windows of one generation do not overlap.
        """


class Collections(Protocol):
    async def ids(self, tenant: str, names: tuple[str, ...]) -> dict[str, str]:
        """Name → id of the named collections that exist."""


class IndexSource(Protocol):
    """What is written beside the vectors."""

    @property
    def collection_id(self) -> str: ...
    @property
    def collection(self) -> str: ...
    @property
    def source_uri(self) -> str: ...
    @property
    def acl(self) -> tuple[str, ...]: ...
    @property
    def acl_version(self) -> int: ...
    @property
    def metadata(self) -> dict[str, JsonValue]: ...
    @property
    def texts(self) -> dict[int, str]: ...


class Completion(Protocol):
    @property
    def outcome(self) -> Literal["pending", "live", "refused", "acl_changed"]: ...
    @property
    def purge(self) -> tuple[int, ...]: ...


class PurgePlan(Protocol):
    """What may be removed, as the registry sees it now."""

    @property
    def whole(self) -> bool: ...
    @property
    def generations(self) -> tuple[int, ...]: ...
    @property
    def upload_ids(self) -> tuple[str, ...]: ...


Plan = TypeVar("Plan", bound=PurgePlan)


class IndexRegistry(Protocol[Plan]):
    """The registry's decisions about what is in the index."""

    async def source(self, document: DocumentRef, numbers: Sequence[int]) -> IndexSource | None:
        """``None``: the generation is not wanted any more."""

    async def complete(self, document: DocumentRef, space: str, batch: int, acl_version: int) -> Completion:
        """Count a batch that is in the index; the last one makes the generation live."""

    async def update_source(self, tenant: str, document_id: str) -> IndexSource | None:
        """ACL and metadata now, without texts. ``None``: the document is gone."""

    async def updated(self, tenant: str, document_id: str, acl_version: int) -> bool:
        """The index has applied this version. ``False``: there is a newer one."""

    async def purge_plan(self, tenant: str, document_id: str, generations: Sequence[int]) -> Plan | None:
        """``None``: nothing of it may go."""

    async def purged(self, tenant: str, plan: Plan, *, points: int, objects: int) -> None:
        """Record the receipt."""

    async def unknown_generations(self, generations: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Those (document, generation) pairs that the registry has purged or never had."""


class Objects(Protocol):
    async def delete(self, name: str) -> None:
        """Remove an object; an absent one is no error."""


class Outbox(Protocol):
    async def publish(self, message: Message, *, msg_id: str, **tokens: str) -> None:
        """Store a message in its stream."""

    async def hint(self, message: Message, **tokens: str) -> None:
        """Send a message that may get lost."""
