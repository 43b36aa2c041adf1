"""Passages for the tests of prompts, citations and grounding."""

import itertools

from rag_common.contracts import Passage
from rag_generator.adapters.templates import load_prompts
from rag_generator.domain.prompting import Prompts
from rag_generator.domain.templates import Templates

CODE = "c0de0001"


def passage(
    text: str, document: str = "d1", start: int = 0, title: str = "Report", heading: tuple[str, ...] = ()
) -> Passage:
    return Passage(
        document_id=document,
        generation=1,
        collection="c",
        title=title,
        source_uri=f"file:///{document}",
        chunk_no=0,
        start=start,
        end=start + len(text),
        heading=heading,
        text=text,
        score=1.0,
        ranks={"sparse": 1},
    )


def builtin() -> Templates:
    return load_prompts(None)._templates


def prompts() -> Prompts:
    """The built-in ones, with codes that a test can know: ``c0de0001``, ``c0de0002``, …"""
    numbers = itertools.count(1)
    return Prompts(builtin(), lambda: f"c0de{next(numbers):04}")
