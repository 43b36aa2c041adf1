"""Reading what the gateway has answered."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError

from ragp.errors import CommandError, GatewayError

Json = dict[str, Any]


def decoded_body(response: httpx.Response) -> Json:
    """:raises CommandError: not a JSON object, so it is not the API that answers."""
    try:
        decoded = response.json() if response.content else {}
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise _not_the_api(response)
    return decoded


def _not_the_api(response: httpx.Response) -> CommandError:
    return CommandError(
        f"{response.url} answers with something that is not the API", cure="check --url or RAGP_URL"
    )


def retry_after(response: httpx.Response) -> float:
    """Seconds until the gateway wants to be asked again."""
    try:
        return float(response.headers.get("Retry-After", "1"))
    except ValueError:
        return 1.0


def error_of(response: httpx.Response) -> GatewayError:
    """From a problem (RFC 9457), or from whatever a proxy in between has answered."""
    if response.has_redirect_location:
        # Not followed: the key is for this gateway alone.
        return GatewayError(
            f"the gateway at {response.url} sends us to {response.headers['Location']}",
            status=response.status_code, code="", cure="give the address that it names with --url",
        )  # fmt: skip
    try:
        problem = response.json()
        message, code = problem.get("detail") or problem["title"], problem.get("code", "")
    except (ValueError, KeyError, AttributeError):
        message, code = f"HTTP {response.status_code} {response.reason_phrase}", ""
    cure = "check RAGP_API_KEY" if response.status_code == httpx.codes.UNAUTHORIZED else None
    return GatewayError(message, status=response.status_code, code=code, cure=cure)


async def events_of(response: httpx.Response) -> AsyncIterator[ServerSentEvent]:
    """The server-sent events of an answer, as they come.

    :raises GatewayError: the gateway refuses, or the answer ends in the event ``error``.
    :raises CommandError: there is no end, or it is not the API that answers.
    """
    if not response.is_success:
        raise error_of(response)
    ended = False
    try:
        async for event in EventSource(response).aiter_sse():
            if event.event == "error":
                problem = event.json()
                raise GatewayError(problem["detail"], status=problem["status"], code=problem["code"])
            ended = event.event == "done"
            yield event
    except SSEError as error:
        raise _not_the_api(response) from error
    if not ended:
        raise CommandError("the answer broke off", cure="ask again; `ragp logs gateway` may say why")
