"""``/v1/feedback``."""

from fastapi import APIRouter, Response

from rag_gateway.dependencies import CallerDep, GatewayDep
from rag_gateway.problems import responses
from rag_gateway.requests import JsonRoute
from rag_gateway.shapes.feedback import NewFeedback

router = APIRouter(prefix="/v1", tags=["feedback"], route_class=JsonRoute)


@router.post(
    "/feedback",
    status_code=201,
    summary="Rate an answer",
    response_class=Response,
    responses={200: {"description": "Earlier feedback was replaced"}, **responses(404, 422)},
)
async def give(body: NewFeedback, caller: CallerDep, gateway: GatewayDep) -> Response:
    """On an answer of the caller's own. What the caller said of it before is replaced."""
    created = await gateway.registry.answers.give_feedback(
        caller.tenant, caller.name, str(body.answer_id), body.rating, body.comment
    )
    gateway.metrics.feedback.labels(body.rating).inc()
    return Response(status_code=201 if created else 200)
