"""What becomes of a job that no retry can help."""

import base64
import traceback

from nats.aio.msg import Msg
from pydantic import ValidationError

from rag_common.broker.job import Job
from rag_common.contracts import DeadLetter
from rag_common.errors import BadMessage, PermanentError

MAX_STACK = 16 * 1024
MAX_REASON = 2000
MAX_HEADERS = 16 * 1024
MAX_BODY = 2 * 1024 * 1024
"""Bytes of a job that a dead letter carries: in base64 still below the server's max_payload."""


def dead_letter(message: Msg, job: Job, stage: str, error: BaseException) -> DeadLetter:
    """The dead letter of a job that ended with ``error``."""
    expected = isinstance(error, PermanentError)
    reason = error.message if isinstance(error, PermanentError) else f"{type(error).__name__}: {error}"
    stack = "" if expected and error.__cause__ is None else "".join(traceback.format_exception(error))
    body = message.data
    if len(body) > MAX_BODY:
        reason += f" (the job's {len(body)} bytes are too many to keep)"
        body = b""
    return DeadLetter(
        stage=stage,
        code=error.code if isinstance(error, PermanentError) else "internal_error",
        reason=_printable(reason)[:MAX_REASON],
        stack=_printable(stack)[-MAX_STACK:],
        attempts=job.attempt,
        original_subject=job.subject,
        original_stream=job.stream,
        original_sequence=job.sequence,
        original_time_ns=job.time_ns,
        headers=_headers(message),
        body=base64.b64encode(body).decode(),
        document=job.document,
    )


def bad_message(error: ValidationError) -> BadMessage:
    """Name the fields that are wrong, without repeating their content."""
    problems = [
        f"{'.'.join(map(str, problem['loc'])) or 'message'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)[:5]
    ]
    return BadMessage("; ".join(problems))


def _headers(message: Msg) -> dict[str, str]:
    headers = {_printable(name): _printable(value) for name, value in (message.headers or {}).items()}
    return headers if sum(map(len, headers.values())) <= MAX_HEADERS else {}


def _printable(text: str) -> str:
    """Lone surrogates have no UTF-8 form, and PostgreSQL stores no NUL."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\\0")
