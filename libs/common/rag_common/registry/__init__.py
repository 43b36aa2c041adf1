"""The document registry: what PostgreSQL knows is the truth about every document.

Whatever these methods raise is a :class:`~rag_common.errors.TransientError` (the database is down;
a later try may succeed) or a :class:`~rag_common.errors.PermanentError` named for its cause.
"""

from rag_common.registry.acceptance import Upload
from rag_common.registry.accepting import AcceptedUploads, Accepting
from rag_common.registry.answers import Answers, Feedback, GivenAnswer, NewAnswer, Rating, UnknownAnswer
from rag_common.registry.changes import Changes, Look, Position
from rag_common.registry.collections import CollectionExists, Collections, UnknownCollection
from rag_common.registry.conversations import Conversation, Conversations, UnknownConversation
from rag_common.registry.database import Database
from rag_common.registry.documents import Documents, UnknownDocument
from rag_common.registry.idempotency import IdempotencyConflict, IdempotencyKey
from rag_common.registry.indexing import Indexing
from rag_common.registry.ingesting import Ingesting
from rag_common.registry.members import Members, Nesting, SourceTaken
from rag_common.registry.orders import Orders
from rag_common.registry.passages import ChunkKey, Passages
from rag_common.registry.reconciling import Reconciling
from rag_common.registry.rows import (
    Accepted,
    ChunkRow,
    Collection,
    Completion,
    Document,
    Generation,
    IndexSource,
    Installation,
    NewContent,
    Order,
    PassageRow,
    PurgePlan,
    Transition,
)
from rag_common.registry.spaces import (
    DocumentsUnderWay,
    SpaceCoverage,
    SpaceIncomplete,
    SpaceKnown,
    Spaces,
    UnknownSpace,
)
from rag_common.spaces import Space


class Registry:
    """One pool of connections, and the registry's methods grouped by who uses them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.changes = Changes(database)
        self.collections = Collections(database)
        self.accepting = Accepting(database)
        self.documents = Documents(database)
        self.ingesting = Ingesting(database)
        self.members = Members(database)
        self.orders = Orders(database)
        self.indexing = Indexing(database)
        self.passages = Passages(database)
        self.spaces = Spaces(database)
        self.reconciling = Reconciling(database)
        self.conversations = Conversations(database)
        self.answers = Answers(database)

    @classmethod
    async def connect(cls, url: str, pool_size: int = 8) -> "Registry":
        """:raises TransientError: the database does not answer."""
        return cls(await Database.connect(url, pool_size))

    async def close(self) -> None:
        """Give the connections back."""
        await self.database.close()

    async def ping(self) -> None:
        """:raises TransientError: the database does not answer."""
        async with self.database.connection() as connection:
            await connection.execute("SELECT 1")


__all__ = [
    "Accepted",
    "AcceptedUploads",
    "Changes",
    "ChunkKey",
    "ChunkRow",
    "Collection",
    "CollectionExists",
    "Completion",
    "Conversation",
    "Document",
    "DocumentsUnderWay",
    "Feedback",
    "Generation",
    "GivenAnswer",
    "IdempotencyConflict",
    "IdempotencyKey",
    "IndexSource",
    "Installation",
    "Look",
    "Members",
    "Nesting",
    "NewAnswer",
    "NewContent",
    "Order",
    "PassageRow",
    "Position",
    "PurgePlan",
    "Rating",
    "Registry",
    "SourceTaken",
    "Space",
    "SpaceCoverage",
    "SpaceIncomplete",
    "SpaceKnown",
    "Transition",
    "UnknownAnswer",
    "UnknownCollection",
    "UnknownConversation",
    "UnknownDocument",
    "UnknownSpace",
    "Upload",
]
