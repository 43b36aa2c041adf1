"""What a collection may settle for itself; what it leaves open is settled for the installation."""

import hashlib
import json
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class SplittingSettings(BaseModel):
    """How the documents of a collection are cut; ``None``: as ``RAG_CHUNK_…`` of the ingest service say."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    chunk_words: Annotated[int, Field(ge=10, le=2000)] | None = None
    """Most words in one chunk."""
    chunk_characters: Annotated[int, Field(ge=100, le=20_000)] | None = None
    """Most characters in one chunk."""


class CollectionSettings(BaseModel):
    """As the registry stores them: fields that are not set are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    splitting: SplittingSettings = SplittingSettings()
    """How documents are cut into chunks."""

    def stored(self) -> dict[str, JsonValue]:
        """JSON without what is not set: collections that settle nothing are all alike."""
        return {name: group for name, group in self.model_dump(exclude_none=True).items() if group}

    def changed_by(self, changes: "CollectionSettings") -> Self:
        """These settings with the fields that ``changes`` names; one that it names as ``None`` is unset."""
        splitting = changes.splitting.model_dump(exclude_unset=True)
        return self.model_copy(update={"splitting": self.splitting.model_copy(update=splitting)})


NO_SETTINGS = CollectionSettings()


def pipeline_of(fingerprint: str | None, settings: CollectionSettings) -> str | None:
    """The fingerprint of a pipeline under a collection's settings; without any, ``fingerprint`` itself.

    Ingest writes it with the chunks, and acceptance compares it: with other settings the same bytes are
    read again.
    """
    stored = settings.stored()
    if fingerprint is None or not stored:
        return fingerprint
    canonical = json.dumps(stored, sort_keys=True, separators=(",", ":"))
    return f"{fingerprint}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"
