"""Write ``docs/settings.md`` from the settings classes, so that no setting is missing from it."""

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from rag_common.settings import DatabaseSettings, ServiceSettings
from ragp.settings import CliSettings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
SERVICES = ("gateway", "ingest", "embedder", "retriever", "generator")

_HEAD = """\
# Settings

A service reads its settings once, at start, from environment variables: `RAG_` and the name in capitals.
An unknown variable is ignored; a value that does not fit stops the service with the name of the setting. The
embedded stack sets what it needs itself. The command line reads `RAGP_…`; an option wins over it.
This page is written by `make docs`.
"""


def settings_class(service: str) -> type[ServiceSettings]:
    """The one settings class of a service."""
    module = importlib.import_module(f"rag_{service}.settings")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and issubclass(value, ServiceSettings)
    )
    return found


def page() -> str:
    """The whole page."""
    sections = [
        _HEAD,
        _section("Every service", ServiceSettings, set()),
        _section("Services with the registry", DatabaseSettings, set(ServiceSettings.model_fields)),
    ]
    shared = set(ServiceSettings.model_fields) | set(DatabaseSettings.model_fields)
    for service in SERVICES:
        known = settings_class(service)
        kind = "registry" if issubclass(known, DatabaseSettings) else "no registry"
        sections.append(_section(f"{service.capitalize()} ({kind})", known, shared))
    sections.append(_section("The command line", CliSettings, set()))
    return "\n".join(sections)


def _section(title: str, settings: type[BaseSettings], left_out: set[str]) -> str:
    prefix = settings.model_config["env_prefix"]
    rows = [
        _row(prefix, name, field) for name, field in settings.model_fields.items() if name not in left_out
    ]
    if not rows:
        return f"## {title}\n\nNo settings of its own.\n"
    head = "| variable | type | default | meaning |\n|---|---|---|---|"
    return f"## {title}\n\n{head}\n" + "\n".join(rows) + "\n"


def _row(prefix: str, name: str, field: FieldInfo) -> str:
    if not field.description:
        raise SystemExit(f"the setting {name!r} has no description")
    cells = (f"`{prefix}{name.upper()}`", _type(field.annotation), _default(field), field.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if parts and get_origin(annotation) in (tuple, list, frozenset, set):
        return f"JSON list of {_type(parts[0])}"
    if parts:
        return " or ".join(_type(part) for part in parts)
    return {SecretStr: "secret"}.get(annotation) or getattr(annotation, "__name__", str(annotation)).lower()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None:
        return "–"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, tuple):
        value = list(value)
    return f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}\n")
