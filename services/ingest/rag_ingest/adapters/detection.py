"""Encodings guessed by chardet."""

import codecs

from chardet import EncodingEra, detect_all

from rag_ingest.domain.encodings import Guess


def guess_encodings(data: bytes) -> list[Guess]:
    """A :data:`~rag_ingest.domain.encodings.Detector`."""
    found = detect_all(data, prefer_superset=True, encoding_era=EncodingEra.ALL & ~EncodingEra.MAINFRAME)
    return [
        Guess(codecs.lookup(each["encoding"]).name, each["confidence"]) for each in found if each["encoding"]
    ]
