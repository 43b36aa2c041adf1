"""Keep the catalogue of messages: ``make messages`` after a change of any text that users read.

Collects the English texts, takes them over into ``ragp.po``, drops those that are gone, and compiles
``ragp.mo``. New ones are left without a translation: write it into ``ragp.po`` and run it again.
"""

import errno
import io
import os
import sys
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import typer
from babel.messages import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from pydantic_core._pydantic_core import list_all_errors

from rag_common.catalogue import Template
from rag_common.i18n import DOMAIN, LOCALES
from ragp.localized import described, described_text
from ragp.main import app
from scripts.collecting import Messages, collect

ROOT = Path(__file__).parent.parent
SOURCES = ("libs", "services", "cli")
LANGUAGE = "ru"
PO = LOCALES / LANGUAGE / "LC_MESSAGES" / f"{DOMAIN}.po"
MO = PO.with_suffix(".mo")
NOT_CARRIED_OVER = frozenset({"expected_plural"})
"""Places that hold an English ending."""

_HEADER = """\
# Messages of the RAG platform in Russian. "make messages" keeps it; see CONTRIBUTING.md.
"""
_CREATED = datetime(2026, 1, 1, tzinfo=UTC)
_STATUSES = (400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 422, 429, 431, 500, 503, 504)
_SYSTEM_ERRORS = (
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENOSPC, errno.EROFS),
    *(errno.EIO, errno.EMFILE, errno.ENAMETOOLONG, errno.ECONNREFUSED, errno.ELOOP, errno.EDQUOT),
)
_PYDANTIC = """
missing extra_forbidden value_error json_invalid json_type recursion_loop invalid_key none_required
model_type model_attributes_type dict_type list_type tuple_type set_type too_short too_long
string_type string_unicode string_too_short string_too_long string_pattern_mismatch enum literal_error
bool_type bool_parsing int_type int_parsing int_parsing_size int_from_float
float_type float_parsing finite_number greater_than greater_than_equal less_than less_than_equal
datetime_type datetime_parsing datetime_from_date_parsing timezone_aware timezone_naive
date_type date_parsing uuid_type uuid_parsing union_tag_invalid union_tag_not_found
url_type url_parsing url_scheme bytes_type
"""
"""Errors that a value from a client, an option or the environment can have."""
_TYPER = (
    *("[OPTIONS]", "COMMAND [ARGS]...", "Show this message and exit.", "Error: {message}"),
    *("Try '{command} --help' for help.", "Invalid value: {message}", "Invalid value for {hint}: {message}"),
    *("Missing argument {hint}.", "Missing option {hint}.", "Missing parameter: {name}"),
    *("No such option: {option}", "No such option: {option} (Possible options: {options})"),
    *("No such command {name}.", "No such command {name}. Did you mean {names}?"),
    *("Option {option} does not take a value.", "Option {option} requires an argument."),
    *("Got unexpected extra argument(s) ({arguments})", "Missing command."),
)
"""What typer says without gettext."""


def main() -> None:
    """Write both files and say what is left to do."""
    catalogue = updated(read(PO), collected())
    PO.write_bytes(po_bytes(catalogue))
    MO.write_bytes(mo_bytes(catalogue))
    missing = [message for message in catalogue if message.id and not is_translated(message)]
    sys.stdout.write(f"{len(catalogue)} messages, {len(missing)} without a translation\n")
    for message in missing:
        sys.stdout.write(f"  {message.id!r}\n")


def collected() -> Messages:
    """Everything that a user may read."""
    files = sorted(file for source in SOURCES for file in (ROOT / source).rglob("*.py"))
    messages = collect(files, ROOT)
    for described_object in described(typer.main.get_command(app)):
        messages.add(escaped(described_text(described_object)), "cli/ragp")
    for status in _STATUSES:
        messages.add(HTTPStatus(status).phrase, "HTTP")
    for number in _SYSTEM_ERRORS:
        messages.add(os.strerror(number), "errno")
    for error in list_all_errors():
        if error["type"] in _PYDANTIC.split():
            messages.add(error["message_template_python"], "pydantic")
    messages.add("Input should be {expected} or {last}", "pydantic")
    for text in _TYPER:
        messages.add(text, "typer")
    package = Path(typer.__file__).parent
    for key in collect([package / "core.py"], package).places:
        messages.add(key.msgid, "typer")
    return messages


def updated(known: Catalog, messages: Messages) -> Catalog:
    """The messages with the translations that are known; the places in them may have new names."""
    shapes = {
        _shape(str(message.id)): message for message in known if message.id and not message.pluralizable
    }
    catalogue = Catalog(
        locale=LANGUAGE,
        project="rag-platform",
        header_comment=_HEADER,
        fuzzy=False,
        # fixed: the date of each run would be a change of the file
        creation_date=_CREATED,
        revision_date=_CREATED,
    )
    for key, places in sorted(messages.places.items(), key=lambda item: (min(item[1]), item[0].msgid)):
        msgid, context = key
        plural = messages.plurals.get(key)
        before = known.get(msgid, context) or _renamed(shapes.get(_shape(msgid)), msgid)
        catalogue.add(
            (msgid, plural) if plural else msgid,
            before.string if before is not None and before.pluralizable == bool(plural) else None,
            locations=[(place, 0) for place in sorted(places)],
            flags=["python-brace-format"] if Template.of(msgid).fields else [],
            context=context,
        )
    return catalogue


def _shape(msgid: str) -> tuple[str, ...]:
    return Template.of(msgid).literals


def _renamed(message: Message | None, msgid: str) -> Message | None:
    if message is None:
        return None
    old, new = Template.of(str(message.id)).fields, Template.of(msgid).fields
    target = Template.of(str(message.string))
    names = dict(zip(old, new, strict=True))
    translation = Template(tuple(map(escaped, target.literals)), target.fields).filled(
        {name: "{" + names.get(name, name) + "}" for name in target.fields}
    )
    return Message(msgid, translation, flags=message.flags)


def is_translated(message: Message) -> bool:
    """Whether every form of it has a text that somebody has looked at."""
    forms = [message.string] if isinstance(message.string, str) else list(message.string or [""])
    return all(forms) and not message.fuzzy


def read(path: Path) -> Catalog:
    """The catalogue in a ``.po`` file; an empty one where there is none."""
    if not path.exists():
        return Catalog(locale=LANGUAGE)
    with path.open("rb") as file:
        return read_po(file, locale=LANGUAGE, abort_invalid=True)


def po_bytes(catalogue: Catalog) -> bytes:
    """As text for translators."""
    written = io.BytesIO()
    write_po(written, catalogue, width=110, include_lineno=False)
    return written.getvalue()


def mo_bytes(catalogue: Catalog) -> bytes:
    """As gettext reads it."""
    written = io.BytesIO()
    write_mo(written, catalogue)
    return written.getvalue()


def escaped(text: str) -> str:
    """The template that stands for just this text."""
    return text.replace("{", "{{").replace("}", "}}")


if __name__ == "__main__":
    main()
