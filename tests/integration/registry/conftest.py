from collections.abc import AsyncIterator

import pytest
from registry_support import TENANT

from rag_common.registry import Registry


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[Registry]:
    """An empty registry with one collection, ``handbook``."""
    registry = await Registry.connect(database_url, pool_size=8)
    await registry.collections.create(TENANT, "handbook")
    await registry.spaces.set_pipeline("pipeline")
    yield registry
    await registry.close()
