"""The settings of a search that are compared: ``mode=hybrid,limit=20``."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from rag_common.contracts import MAX_EXPANSION, SearchMode
from ragp.errors import CommandError
from ragp.evaluation.lines import checked


class SearchSettings(BaseModel):
    """Fields of ``POST /v1/search``; what is ``None`` is left to the gateway, and ``limit`` to what the
    metrics need.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: SearchMode | None = None
    limit: int | None = Field(None, ge=1, le=100)
    expand: int | None = Field(None, ge=0, le=MAX_EXPANSION)
    diversity: float | None = Field(None, ge=0, le=1)
    rerank: bool | None = None
    space: str | None = Field(None, min_length=1)

    @classmethod
    def parse(cls, text: str, base: "SearchSettings | None" = None) -> "SearchSettings":
        """``mode=sparse,limit=20``; what is not named is as in ``base``.

        :raises CommandError: an entry is not ``name=value``, or a name or value is not known.
        """
        given: dict[str, Any] = base.fields() if base is not None else {}
        for entry in filter(None, (entry.strip() for entry in text.split(","))):
            name, separator, value = entry.partition("=")
            if not separator:
                raise CommandError(f"settings are written name=value, not {entry!r}")
            if name.strip() not in cls.model_fields:
                known = ", ".join(cls.model_fields)
                raise CommandError(f"there is no search setting {name.strip()!r}", cure=f"one of {known}")
            given[name.strip()] = value.strip()
        return checked(cls, given, f"the settings {text!r}")

    def fields(self) -> dict[str, Any]:
        """For the body of a search."""
        return self.model_dump(exclude_none=True)

    def __str__(self) -> str:
        return ", ".join(f"{name}={_plain(value)}" for name, value in self.fields().items()) or "defaults"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
