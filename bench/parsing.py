"""How fast real files pass the ingest service up to the EMBED stage, alone and among hostile ones."""

import asyncio
import io
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus import documents
from harness import COLLECTION, TOPOLOGY, Bench, say, started
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

from ragp.drops import DropFields, Producer
from ragp.files import SourceFile

sys.path.append(str(Path(__file__).parents[1] / "tests/integration/ingest"))
from hostile_files import hostile_files  # type: ignore[import-not-found]  # found on the path above

_IN_STATES = """
    SELECT count(*) FROM generations g JOIN documents d ON d.id = g.document_id
    WHERE d.source_uri = ANY($1) AND g.state = ANY($2)
"""
PAGES = 12
"""Of one document."""
_ORIGINALS = 25
_HOSTILE_SHARE = 0.06
_CROWDS = {"many.zip", "overlapping.zip", "bomb.zip"}
"""Hundreds of members, each a document of its own: they would be more than this share."""
_RUSSIAN = (
    "Сотруднику полагается ежегодный оплачиваемый отпуск, если в договоре не сказано иное. "
    "Заявление подают за две недели до начала, а график утверждает руководитель отдела. "
    "Объём хранилища ограничен, поэтому съёмные диски и архивы проверяют раз в месяц. "
)


async def main(quick: bool) -> dict[str, Any]:
    """Blocks of good files alone and blocks with hostile ones take turns."""
    count, pairs = (100, 2) if quick else (300, 4)
    bad = round(count * _HOSTILE_SHARE / (1 - _HOSTILE_SHARE))
    with tempfile.TemporaryDirectory(prefix="ragp-bench-") as directory:
        files = Files(Path(directory))
        say(f"blocks of {count} PDFs of {PAGES} pages; every second one with {bad} hostile files")
        async with started(only=("gateway", "ingest")) as bench:
            lane = Lane(bench, Producer(bench.nats, TOPOLOGY, "default"))
            await lane.seconds(files.good("warm", count // 3))
            alone = mixed = 0.0
            memory: list[int] = []
            for number in range(pairs):
                alone += await lane.seconds(files.good(f"{number}-alone", count))
                mixed += await lane.seconds(files.good(f"{number}-mixed", count), files.hostile(number, bad))
                memory.append(bench.rss()["ingest"] // 2**20)
                say(f"  {number + 1}: {alone:.1f} s alone, {mixed:.1f} s mixed; ingest has {memory[-1]} MB")
            return {
                "pages_per_s": round(count * pairs * PAGES / alone, 1),
                "pages_per_minute": round(60 * count * pairs * PAGES / alone),
                "hostile_slowdown": round(1 - alone / mixed, 3),
                # Libraries are loaded for the first file that needs them: in the first half.
                "rss_growth_mb": memory[-1] - memory[pairs // 2 - 1],
                "rss_mb": memory[-1],
                "documents": 2 * count * pairs,
                "hostile": lane.hostile,
                "outcomes": await _codes(bench),
            }


class Lane:
    """Drops files onto the bulk lane and waits until the good ones are in the EMBED stage."""

    def __init__(self, bench: Bench, producer: Producer) -> None:
        self._bench = bench
        self._producer = producer
        self.hostile = 0

    async def seconds(self, good: Sequence[SourceFile], hostile: Sequence[SourceFile] = ()) -> float:
        """Until the last good file is parsed. The hostile ones are then waited for, too."""
        mixed = [*good, *hostile]
        random.Random(len(mixed)).shuffle(mixed)
        self.hostile += len(hostile)
        began = time.perf_counter()
        fields = DropFields(COLLECTION)
        for start in range(0, len(mixed), 16):
            await asyncio.gather(*(self._producer.drop(file, fields) for file in mixed[start : start + 16]))
        await self._wait(("embedding",), good)
        spent = time.perf_counter() - began
        # Where a file ends as `failed`, the gateway says so.
        await self._wait(("embedding", "failed"), hostile)
        # Nobody takes what is embedded here: a full lane would hold the next block.
        await self._bench.jetstream.purge_stream(TOPOLOGY.stream("EMBED"))
        return spent

    async def _wait(self, states: Sequence[str], files: Sequence[SourceFile], limit: float = 300) -> None:
        sources = [file.source_uri for file in files]
        deadline = time.monotonic() + limit
        while await self._bench.database.fetchval(_IN_STATES, sources, list(states)) < len(sources):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {limit} s for {len(sources)} files to be {' or '.join(states)}")
            await asyncio.sleep(0.1)


class Files:
    """Good ones are a few under many names; hostile ones are taken in turn."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        texts = [document.text for document in documents(_ORIGINALS * PAGES)]
        self._good = [
            self._kept(f"good-{number}.pdf", make_pdf(texts[number * PAGES : (number + 1) * PAGES]))
            for number in range(_ORIGINALS)
        ]
        self._hostile = [self._kept(name, data) for name, data in hostile_files() if name not in _CROWDS]
        random.Random(5).shuffle(self._hostile)

    def good(self, block: str, count: int) -> list[SourceFile]:
        """As many documents, each of its own name."""
        return [
            self._named(self._good[number % _ORIGINALS], f"{block}-{number}.pdf") for number in range(count)
        ]

    def hostile(self, block: int, count: int) -> list[SourceFile]:
        """Others in every block."""
        chosen = [self._hostile[(block * count + number) % len(self._hostile)] for number in range(count)]
        return [self._named(path, f"{block}-{path.name}") for path in chosen]

    def _named(self, path: Path, name: str) -> SourceFile:
        target = self._directory / name
        target.hardlink_to(path)
        return SourceFile(target)

    def _kept(self, name: str, data: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(data)
        return path


def make_pdf(texts: Sequence[str]) -> bytes:
    """A page for each text: paragraphs in an embedded font, English and Russian; some with a table."""
    style = ParagraphStyle("body", fontName=_font(), fontSize=10, leading=14)
    story: list[Flowable] = []
    for number, text in enumerate(texts, 1):
        story += [Paragraph(f"{number}. {text[:60]}", style), Spacer(1, 12)]
        story += [Paragraph(part, style) for part in (text[:1200], _RUSSIAN * 2, text[1200:])]
        if number % 3 == 0:
            rows = [[f"{word}", str(len(word)), f"{number}.{len(word)}"] for word in text.split()[:8]]
            story += [Spacer(1, 12), Table([["Item", "Count", "Section"], *rows])]
        story.append(PageBreak())
    buffer = io.BytesIO()
    SimpleDocTemplate(buffer, pagesize=A4).build(story)
    return buffer.getvalue()


def _font() -> str:
    for name in ("DejaVuSans.ttf", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"):
        try:
            pdfmetrics.registerFont(TTFont("body", name))
        except TTFError:
            continue
        return "body"
    raise FileNotFoundError(
        "the font DejaVuSans.ttf; on Debian and Ubuntu: apt-get install fonts-dejavu-core"
    )


async def _codes(bench: Bench) -> dict[str, int]:
    rows = await bench.database.fetch(
        "SELECT coalesce(error_code, state) AS ended, count(*) AS files FROM generations"
        " GROUP BY 1 ORDER BY 2 DESC"
    )
    return {row["ended"]: row["files"] for row in rows}
