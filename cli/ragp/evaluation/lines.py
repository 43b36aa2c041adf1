"""Reading files line by line, with errors that name the line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ragp.errors import CommandError

M = TypeVar("M", bound=BaseModel)


def read_text(path: Path) -> str:
    """UTF-8, a byte order mark aside; line endings as they are.

    :raises CommandError: it cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not in UTF-8: byte {error.start}") from error


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Each line that is not blank, with where it is for messages.

    :raises CommandError: naming the first line that is not JSON.
    """
    # Not splitlines(): a JSON string may hold other separators, such as U+2028.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                yield where, json.loads(line)
            except ValueError as error:
                raise CommandError(f"{where} is not JSON: {error}") from error


def checked(model: type[M], content: Any, where: str) -> M:
    """:raises CommandError: naming the place and the field."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise CommandError(
            f"{where}: {field}: {first['msg']}" if field else f"{where}: {first['msg']}"
        ) from error
