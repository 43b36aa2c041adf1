"""Misread UTF-8 undone by ftfy."""

from ftfy import TextFixerConfig, fix_encoding_and_explain

from rag_ingest.domain.mojibake import Mended

_ONLY_WHOLE = TextFixerConfig(
    unescape_html=False,
    remove_terminal_escapes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    fix_line_breaks=False,
    fix_surrogates=False,
    remove_control_chars=False,
    normalization=None,
    # These mend parts of a text and guess what is missing.
    decode_inconsistent_utf8=False,
    replace_lossy_sequences=False,
    fix_c1_controls=False,
)


def undo_misreading(text: str) -> Mended | None:
    """A :data:`~rag_ingest.domain.mojibake.Mender`."""
    found = fix_encoding_and_explain(text, _ONLY_WHOLE)
    steps = found.explanation or ()
    pages = [step.parameter.removeprefix("sloppy-") for step in steps if step.action == "encode"]
    if not pages or any(step.action == "decode" and step.parameter != "utf-8" for step in steps):
        return None
    return Mended(found.text, f"UTF-8 was read as {' as '.join(map(_name, pages))}")


def _name(page: str) -> str:
    if page == "macroman":
        return "Mac Roman"
    return page.title() if page.startswith(("windows", "latin")) else page.upper()
