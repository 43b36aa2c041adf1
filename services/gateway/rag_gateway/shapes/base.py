"""What all requests, answers and pages share."""

from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

MAX_PAGE = 200
T = TypeVar("T")


def no_nul(text: str) -> str:
    """:raises ValueError: PostgreSQL stores no NUL."""
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    return text


Text = Annotated[str, AfterValidator(no_nul)]


class Described(BaseModel):
    """What stands below a field here describes it in OpenAPI."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Request(Described):
    """A misspelt field is an error, not silently nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(Described):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class Page(Described, Generic[T]):
    """``next_cursor`` is null on the last page; else pass it back as ``cursor``."""

    items: list[T]
    """What is on this page."""
    next_cursor: str | None = None
    """Where the next page begins; null on the last one."""
