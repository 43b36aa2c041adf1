"""``/v1/search``."""

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from rag_common.i18n import translate
from rag_gateway.dependencies import CallerDep, GatewayDep
from rag_gateway.domain.searching import Search
from rag_gateway.languages import headers, language_of
from rag_gateway.problems import responses
from rag_gateway.requests import JsonRoute
from rag_gateway.shapes.search import EXAMPLE_PASSAGES, SearchAnswer, SearchRequest

router = APIRouter(prefix="/v1", tags=["search"], route_class=JsonRoute)


@router.post(
    "/search",
    summary="Search for passages",
    response_model=None,
    responses={
        200: {"model": SearchAnswer, "content": {"application/json": {"example": EXAMPLE_PASSAGES}}},
        **responses(404, 422, 504),
    },
)
async def search(body: SearchRequest, request: Request, caller: CallerDep, gateway: GatewayDep) -> Response:
    """The passages that answer a question best, of documents whose ACL admits the caller."""
    await gateway.require_collections(caller.tenant, body.collections)
    found = await gateway.searches(
        Search(
            tenant=caller.tenant,
            principals=caller.principals,
            question=body.query,
            collections=body.collections,
            mode=body.mode,
            limit=body.limit,
            filter=body.filter,
            expand=body.expand,
            diversity=body.diversity,
            rerank=body.rerank,
            space=body.space,
        )
    )
    # what else the message has is between the services
    answer = {name: found[name] for name in SearchAnswer.model_fields}
    gateway.metrics.searches.labels(answer["mode"]).inc()
    if answer["degraded"]:
        gateway.metrics.degraded.inc()
    language = language_of(request)
    if answer.get("reason"):
        answer["reason"] = translate(answer["reason"], language)
    return Response(to_json(answer), media_type="application/json", headers=headers(language))
