"""``/v1/collections``."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from rag_gateway.dependencies import CallerDep, CollectionPath, GatewayDep
from rag_gateway.domain.cursors import decode_name, encode_name
from rag_gateway.problems import responses
from rag_gateway.requests import JsonRoute
from rag_gateway.shapes.base import MAX_PAGE, Page
from rag_gateway.shapes.collections import CollectionChanges, CollectionView, NewCollection

router = APIRouter(prefix="/v1/collections", tags=["collections"], route_class=JsonRoute)


@router.post("", status_code=201, summary="Create a collection", responses=responses(409, 422))
async def create(
    body: NewCollection, caller: CallerDep, gateway: GatewayDep, response: Response
) -> CollectionView:
    """A collection holds documents that are searched together."""
    collection = await gateway.registry.collections.create(
        caller.tenant, body.name, body.description, body.settings
    )
    response.headers["Location"] = f"/v1/collections/{collection.name}"
    return CollectionView.model_validate(collection)


@router.get("", summary="List collections", responses=responses(422))
async def list_collections(
    caller: CallerDep,
    gateway: GatewayDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    cursor: str | None = None,
) -> Page[CollectionView]:
    """In the order of their names."""
    after = decode_name(cursor) if cursor else ""
    found = await gateway.registry.collections.page(caller.tenant, after, limit + 1)
    items = [CollectionView.model_validate(collection) for collection in found[:limit]]
    return Page(items=items, next_cursor=encode_name(items[-1].name) if len(found) > limit else None)


@router.get("/{collection}", summary="Get one collection", responses=responses(404, 422))
async def get(collection: CollectionPath, caller: CallerDep, gateway: GatewayDep) -> CollectionView:
    """With the number of its documents."""
    return CollectionView.model_validate(await gateway.registry.collections.get(caller.tenant, collection))


@router.patch("/{collection}", summary="Change a collection", responses=responses(404, 422))
async def change(
    collection: CollectionPath, body: CollectionChanges, caller: CallerDep, gateway: GatewayDep
) -> CollectionView:
    """Its description or its settings. Documents follow new settings when their bytes are sent again."""
    await gateway.registry.collections.change(
        caller.tenant, collection, description=body.description, settings=body.settings
    )
    return CollectionView.model_validate(await gateway.registry.collections.get(caller.tenant, collection))


@router.delete("/{collection}", status_code=202, summary="Delete a collection", responses=responses(404, 422))
async def delete(collection: CollectionPath, caller: CallerDep, gateway: GatewayDep) -> Response:
    """No search that starts after the answer finds its documents; their bytes and points go soon after."""
    await gateway.registry.collections.delete(caller.tenant, collection)
    return Response(status_code=202)
