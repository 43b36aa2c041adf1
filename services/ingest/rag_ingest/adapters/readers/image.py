"""Images, by text recognition: one page, or the pages of a TIFF."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers import ocr
from rag_ingest.adapters.readers.scans import ScannedPages
from rag_ingest.domain.formats import Format

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF")
MAX_PIXELS = 80_000_000
"""Of one page: A3 at 600 dpi has 70 million. Decoded in colours with transparency that is 320 MB."""
_MAX_FRAMES = 2000
_DAMAGED = (UnidentifiedImageError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error)
"""What Pillow raises for files that are not what their headers promise."""


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    if not ocr.enabled():
        raise BadDocument(
            "The file is a picture, and text recognition is switched off (RAG_OCR).",
            code="unsupported_format",
        )
    with _opened(path) as image:
        media_type = Image.MIME.get(image.format or "", "image/png")
        pages = ScannedPages()
        # The frames of an animation are no pages.
        frames = min(getattr(image, "n_frames", 1), _MAX_FRAMES) if image.format == "TIFF" else 1
        for number in range(frames):
            image.seek(number)
            _check_pixels(image)
            pages.add(number + 1, partial(_upright, image))
    return pages.extracted(media_type, numbered=frames > 1)


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(image)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            # Its own limits on pixels: ours are checked before anything is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as image:
                _check_pixels(image)
                yield image
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except (
        UnidentifiedImageError,
        SyntaxError,
        ValueError,
        EOFError,
        KeyError,
        TypeError,
        IndexError,
    ) as error:
        raise _damaged() from error
    except OSError as error:
        # Pillow names no number when it is the file that is to blame.
        if error.errno is not None:
            raise
        raise _damaged() from error


def _check_pixels(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large()


def _too_large() -> BadDocument:
    return BadDocument(
        f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels. Scan it with fewer dots.",
        code="image_too_large",
    )


def _damaged() -> BadDocument:
    return BadDocument(
        "The picture is damaged or incomplete and cannot be read. Check that it opens and send it again.",
        code="damaged_file",
    )
