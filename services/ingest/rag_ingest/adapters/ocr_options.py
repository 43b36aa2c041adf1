"""What the worker process is told about text recognition when it is started."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class OcrOptions:
    """Without ``enabled`` no picture is read."""

    enabled: bool = True
    program: str | None = "tesseract"
    """Path of tesseract; ``None`` where there is none."""
    languages: str = "eng+rus"
    """As tesseract takes them."""
    least_confidence: float = 60.0
    """Of a line, from 0 to 100; what is below is left out. Garbage has 20 to 50, a good page 85 to 97."""

    def as_json(self) -> str:
        return json.dumps(asdict(self))


class _Current:
    options = OcrOptions()


def configure(options: OcrOptions) -> None:
    """For this process."""
    _Current.options = options


def current() -> OcrOptions:
    return _Current.options
