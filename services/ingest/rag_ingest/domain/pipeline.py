"""How bytes become chunks: a parser, and a splitter with the sizes of the collection and the model."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rag_common.contracts import CollectionSettings, Lane, SplittingSettings, pipeline_of
from rag_common.errors import BadDocument
from rag_common.spaces import Space
from rag_ingest.domain.documents import Chunk, ParsedDocument, Parser, Source
from rag_ingest.domain.size import ChunkSize, Window
from rag_ingest.domain.splitting import Splitter, split_document
from rag_ingest.domain.titles import clean_title

_LARGE_TEXT = 64 * 1024
"""Characters above which splitting (about 0.2 ms per KiB) leaves the event loop."""


def window_of(space: Space) -> Window:
    """What the space's model takes in at once."""
    return Window(space.max_tokens, space.languages)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How bytes become chunks; ``fingerprint`` changes whenever other chunks may come out."""

    parsers: Mapping[Lane, Parser]
    splitter: Splitter
    chunk_words: int
    chunk_characters: int
    fingerprint: str

    async def chunks_of(
        self, source: Source, lane: Lane, space: Space, settings: CollectionSettings
    ) -> tuple[ParsedDocument, tuple[Chunk, ...]]:
        """:raises BadDocument: the file cannot be read, or nothing of it can be searched."""
        parsed = await self.parsers[lane].parse(source)
        size = self._size(space, settings.splitting)
        if len(parsed.text) > _LARGE_TEXT:
            chunks = await asyncio.to_thread(split_document, parsed, self.splitter, size)
        else:
            chunks = split_document(parsed, self.splitter, size)
        if not chunks:
            raise BadDocument("No text was found in the file.", code="no_text")
        return replace(parsed, title=clean_title(parsed.title)), chunks

    def fingerprint_under(self, settings: CollectionSettings) -> str:
        """What acceptance compares; see :func:`rag_common.contracts.pipeline_of`."""
        return pipeline_of(self.fingerprint, settings) or self.fingerprint

    def _size(self, space: Space, settings: SplittingSettings) -> ChunkSize:
        return ChunkSize(
            words=settings.chunk_words or self.chunk_words,
            characters=settings.chunk_characters or self.chunk_characters,
            window=window_of(space),
        )
