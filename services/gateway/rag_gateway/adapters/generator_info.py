"""Who writes the answers now, as the generator says."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import nats.errors
from pydantic import ValidationError

from rag_common.contracts import DescribeGenerator, GeneratorDescription
from rag_common.errors import TransientError
from rag_common.topology import Topology

REMEMBERED_SECONDS = 10.0
"""How long an answer of the generator holds; that nobody answered, too."""
_TIMEOUT = 0.5


class Requests(Protocol):
    async def ask(self, subject: str, body: bytes, seconds: float) -> bytes: ...


class GeneratorInfo:
    """Remembers what the generator says of itself; of those who wait for it one asks."""

    def __init__(
        self, requests: Requests, topology: Topology, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._requests = requests
        self._subject = topology.subject(DescribeGenerator)
        self._clock = clock
        self._description: GeneratorDescription | None = None
        self._until = clock()
        self._asking = asyncio.Lock()

    async def __call__(self) -> GeneratorDescription | None:
        """``None``: nobody answers, or nobody that can be understood."""
        async with self._asking:
            if self._clock() >= self._until:
                self._description = await self._ask()
                self._until = self._clock() + REMEMBERED_SECONDS
        return self._description

    async def _ask(self) -> GeneratorDescription | None:
        try:
            reply = await self._requests.ask(self._subject, DescribeGenerator().encode(), _TIMEOUT)
            return GeneratorDescription.decode(reply)
        except (nats.errors.Error, TransientError, TimeoutError, ValidationError):
            # counted by who asks, as a question without an earlier answer
            return None
