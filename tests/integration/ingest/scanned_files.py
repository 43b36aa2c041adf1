"""Scans: pictures of text, good and bad, and documents made of them."""

import io
import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

# Pillow's own font has no Cyrillic letters.
FONTS = ("DejaVuSans.ttf", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "LiberationSans-Regular.ttf")
RUSSIAN = "Ежегодный отпуск составляет двадцать восемь дней."
ENGLISH = "Every employee has thirty days of leave."


def scan(text: str, *, size: int = 36) -> Image.Image:
    """A page with wide margins, in shades of grey."""
    lines = textwrap.wrap(text, 40)
    page = Image.new("L", (1300, 200 + 2 * size * len(lines)), 255)
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        pen.text((100, 100 + 2 * size * number), line, font=_font(size), fill=0)
    return page


def blurred(text: str) -> Image.Image:
    """Letters can be seen, and not be told apart."""
    page = scan(f"{text} " * 4)
    return page.resize((page.width // 7, page.height // 7)).resize(page.size)


def saved_as(picture: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def scanned_pdf(pages: Sequence[Image.Image | str]) -> bytes:
    """Pictures fill their pages, words are text."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(595, 842))
    for page in pages:
        if isinstance(page, str):
            canvas.drawString(72, 780, page)
        else:
            canvas.drawImage(ImageReader(page), 0, 400, 595, 595 * page.height / page.width)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _font(size: int) -> ImageFont.FreeTypeFont:
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    raise FileNotFoundError(f"none of the fonts {', '.join(FONTS)}")
