"""The settings of the ingest service."""

from pathlib import Path

from pydantic import Field

from rag_common.settings import DatabaseSettings


class IngestSettings(DatabaseSettings):
    """``RAG_`` + the field's name in capitals."""

    interactive_workers: int = Field(
        4, ge=1, le=64, description="Interactive jobs that run at a time in one process."
    )
    bulk_workers: int = Field(8, ge=1, le=64, description="Bulk jobs that run at a time in one process.")
    max_drop_bytes: int = Field(
        300 * 1024**2, ge=1, description="Largest object, in bytes, that is taken from a drop bucket."
    )
    max_document_characters: int = Field(
        20_000_000, ge=1, description="Most characters of text in one document."
    )
    max_members: int = Field(
        1000,
        ge=0,
        description="Most files in one archive or mail, with those of the archives and mails in it.",
    )
    max_members_bytes: int = Field(512 * 1024**2, ge=0, description="Most bytes of these files, unpacked.")
    chunk_words: int = Field(100, ge=10, le=2000, description="Most words in one chunk.")
    chunk_characters: int = Field(
        1500, ge=100, le=20_000, description="Most characters in one chunk, for text with long words or none."
    )
    parser_processes: int = Field(
        1, ge=1, le=32, description="Parser processes of each lane, for all that is not plain text."
    )
    parser_memory_bytes: int = Field(
        1024**3, ge=256 * 1024**2, description="Address space of a parser process; beyond it, it is killed."
    )
    parser_cpu_seconds: int = Field(60, ge=1, description="Processor time that parsing one file may take.")
    parser_wall_seconds: int = Field(120, ge=1, description="Time that parsing one file may take.")
    parser_idle_seconds: float = Field(
        60.0, gt=0, description="Time without a file after which a parser process is stopped."
    )
    ocr: bool = Field(True, description="Whether the text in pictures and scanned pages is recognised.")
    ocr_languages: str = Field(
        "eng+rus",
        pattern=r"^\w+(\+\w+)*$",
        description="Languages of that text, as tesseract names them, with + between them.",
    )
    ocr_min_confidence: float = Field(
        60.0, ge=0, le=100, description="Confidence below which a recognised line is left out."
    )
    work_dir: Path | None = Field(
        None, description="Directory for the files of running jobs; none: the system's temporary directory."
    )
