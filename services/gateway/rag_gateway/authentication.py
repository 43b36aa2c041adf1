"""No request reaches a route, or has its body read, without an identity."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from rag_gateway.identity import ApiKeys, NoIdentity
from rag_gateway.problems import render_error

_OPEN = frozenset({"/", "/docs", "/openapi.json", "/livez", "/readyz", "/metrics"})
_OPEN_PREFIX = "/docs/assets/"


class RequireKey:
    """ASGI middleware: puts the caller into ``request.state.caller``, or answers 401.

    Only the documentation and the probes are open; whatever is added is closed by default.
    ``app.state.keys`` is there once the service has started.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPEN or scope["path"].startswith(_OPEN_PREFIX):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        keys: ApiKeys = request.app.state.keys
        try:
            caller = keys.caller(request.headers.get("authorization"))
        except NoIdentity as error:
            await render_error(request, error)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)
