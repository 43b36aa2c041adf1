"""The JSON that the fake Ollama sends, as Ollama's ``docs/api.md`` has it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse, Response

DIGEST = "0" * 64
LAYER_BYTES = 1_000_000


def line(part: Mapping[str, Any]) -> bytes:
    return json.dumps(part, ensure_ascii=False).encode() + b"\n"


def part(model: str, content: str, **more: object) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"model": model, "created_at": now(), "message": message, "done": False, **more}


def last(model: str, body: Mapping[str, Any], tokens: int, *, cut: bool) -> dict[str, Any]:
    """The counts are of words and of tokens sent; durations are in nanoseconds."""
    words = sum(len(message["content"].split()) for message in body["messages"])
    return part(
        model,
        "",
        done=True,
        done_reason="length" if cut else "stop",
        total_duration=2_000_000,
        load_duration=0,
        prompt_eval_count=words,
        prompt_eval_duration=1_000_000,
        eval_count=tokens,
        eval_duration=1_000_000,
    )


def described(name: str) -> dict[str, Any]:
    details = {"parent_model": "", "format": "gguf", "family": "fake", "families": ["fake"]}
    return {
        "name": name,
        "model": name,
        "size": LAYER_BYTES,
        "digest": DIGEST,
        "details": {**details, "parameter_size": "0B", "quantization_level": "F16"},
    }


def not_found(body: Mapping[str, Any]) -> Response:
    return JSONResponse({"error": f"model '{body.get('model')}' not found"}, status_code=404)


def now() -> str:
    return datetime.now(UTC).isoformat()
