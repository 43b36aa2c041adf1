"""By what a gateway tells the failure of an attempt that was overtaken from that of the newest one."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from generator_support import Gateway, Generator, ScriptedLLM

from rag_common.contracts import QueryFailed

Running = Callable[..., AbstractAsyncContextManager[Generator]]


@pytest.mark.parametrize(("retrieval", "opened", "failed"), [(1, 1, 2), (2, 7, 8)])
async def test_a_failure_is_of_the_last_attempt_of_its_delivery(
    running: Running, gateway: Gateway, retrieval: int, opened: int, failed: int
) -> None:
    async with running(ScriptedLLM((ValueError("a bug"),))):
        query = await gateway.ask(attempt=retrieval)
        failure = (await gateway.ended(query))[-1]
    assert [opening.attempt for opening in gateway.opened(query)] == [opened]
    assert isinstance(failure, QueryFailed)
    assert failure.attempt == failed
