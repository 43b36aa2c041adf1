"""The language of an answer: what the client's ``Accept-Language`` prefers of those that we have."""

from typing import Annotated

from fastapi import Depends, Response
from starlette.requests import Request

from rag_common.i18n import accepted_language


def language_of(request: Request) -> str:
    """``en`` where the client does not say."""
    return accepted_language(",".join(request.headers.getlist("accept-language")))


def headers(language: str) -> dict[str, str]:
    """Of an answer with messages in this language."""
    return {"Content-Language": language, "Vary": "Accept-Language"}


async def _language(request: Request, response: Response) -> str:
    language = language_of(request)
    response.headers.update(headers(language))
    return language


LanguageDep = Annotated[str, Depends(_language)]
"""The language; the answer says that it is in it."""
