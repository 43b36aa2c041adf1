"""What the readers share that use ``kreuzberg``: its settings, its errors, its warnings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kreuzberg import ConcurrencyConfig, ContentFilterConfig, ExtractionConfig, ExtractionResult
from kreuzberg.exceptions import KreuzbergError

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Spoiled
from rag_ingest.domain.formats import Format

_PLACEHOLDER_TITLES = {"untitled", "(anonymous)", "unspecified"}
_NO_LIBRARY = "Failed to extract bundled Pdfium"
"""What it says when the disk has no room for the library that it unpacks to read the first PDF."""


def config(**options: Any) -> ExtractionConfig:
    """No cache, one thread, everything that stands in the file."""
    return ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        concurrency=ConcurrencyConfig(max_threads=1),
        content_filter=ContentFilterConfig(
            include_headers=True, include_footers=True, strip_repeating_text=False
        ),
        **options,
    )


@contextmanager
def named_errors(kind: Format) -> Iterator[None]:
    """Turn what kreuzberg raises into a reason for the owner of the file."""
    try:
        yield
    except (KreuzbergError, RuntimeError) as error:
        reason = str(error)
        if _NO_LIBRARY in reason:
            raise OSError(reason) from error
        # A panic in its Rust code, of which no class tells; it keeps the lock of PDFium for ever.
        if "panicked" in reason or "poisoned" in reason:
            raise Spoiled(reason) from error
        raise _refusal(reason, kind) from error


def _refusal(reason: str, kind: Format) -> BadDocument:
    lowered = reason.lower()
    name = kind.upper()
    if "password" in lowered or "encrypt" in lowered:
        return BadDocument(
            f"The {name} is protected by a password. Remove the password and send it again.",
            code="password_protected",
        )
    return BadDocument(
        f"The {name} is damaged or incomplete and cannot be read. Check that it opens and send it again.",
        code="damaged_file",
    )


def tidy(text: str) -> str:
    """Line ends as ``\\n``, none around the text; no NUL."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    return text.strip("\n")


def title_of(result: ExtractionResult) -> str | None:
    """The title in the file's properties, unless a program has put it there."""
    title = str(result.metadata.get("title") or "").strip()
    return None if title.lower() in _PLACEHOLDER_TITLES else title or None


def warnings_of(result: ExtractionResult) -> list[str]:
    return [f"{warning.source}: {warning.message}" for warning in result.processing_warnings]
