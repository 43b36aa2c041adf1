"""The documentation page, from files of this machine: no CDN is asked."""

from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

_ASSETS = "/docs/assets"


def install(app: FastAPI) -> None:
    """Add ``/docs``, its assets, and the way there from ``/``."""

    async def docs(_: Request) -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=app.openapi_url or "",
            title=f"{app.title}: API",
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon.png",
            swagger_ui_parameters={
                # Swagger UI would send the page's address to an online validator
                "validatorUrl": None,
                "displayRequestDuration": True,
            },
        )

    async def root(_: Request) -> Response:
        return RedirectResponse("/docs")

    static = Path(str(files("fastapi_offline"))) / "static"
    app.add_route("/", root, include_in_schema=False)
    app.add_route("/docs", docs, include_in_schema=False)
    app.mount(_ASSETS, StaticFiles(directory=static))
