"""Which model writes the answers, or that none does: then they consist of quotations."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from rag_common.contracts import GeneratorDescription
from rag_common.errors import RagError
from rag_generator.domain.llm import LLM, ModelMissing, ModelUnavailable

CHECK_SECONDS = 10.0
"""Between two looks at the endpoint: so long may a model that was just pulled go unnoticed."""

_log = structlog.get_logger(__name__)


class Endpoint(LLM, Protocol):
    """A model whose endpoint can be looked at."""

    async def models(self) -> tuple[str, ...]:
        """Names of the models that the endpoint has.

        :raises ModelUnavailable: it does not answer.
        :raises ModelRefused: it answers, but not us.
        """

    async def prepare(self) -> None:
        """Load the model, which may take a minute, so that no question has to wait for it.

        :raises ModelUnavailable: it was not loaded.
        :raises ModelMissing: there is none.
        """


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who answers. ``llm`` is ``None`` where sentences are to be quoted: by the settings, or because there
    is no model, which ``reason`` says; neither is a failure."""

    llm: LLM | None
    reason: str | None = None


class Models:
    """Knows whether the configured model can be used, from looks at its endpoint now and then.

    ``endpoint`` is ``None`` where answers are to consist of quotations. An ``optional`` model is not chosen
    before its endpoint has been seen to have it; any other always is, and whoever asks it learns what is
    wrong. A model that was seen stays chosen while its endpoint does not answer: that is a failure, which
    passes, whereas a missing model is somebody's decision.
    """

    def __init__(self, endpoint: Endpoint | None, *, optional: bool = False) -> None:
        self._endpoint = endpoint
        self._optional = optional
        self._usable = endpoint is not None and not optional
        self._names: tuple[str, ...] = ()
        self._reason: str | None = None
        self._looked = False

    async def current(self) -> Chosen:
        """Who answers the next question. Asks nobody."""
        if self._endpoint is None or not self._usable:
            return Chosen(None, self._reason)
        return Chosen(self._endpoint)

    async def describe(self, prompt_version: str) -> GeneratorDescription:
        """Who answers, what the endpoint has, and what is wrong with the model that was configured."""
        llm = (await self.current()).llm
        return GeneratorDescription(
            adapter=llm.adapter if llm else "extractive",
            model=llm.model if llm else None,
            prompt_version=prompt_version,
            models=self._names,
            reason=self._reason,
        )

    async def refresh(self) -> None:
        """Look at the endpoint; a change is logged, and a model that has become usable is loaded."""
        if self._endpoint is None:
            return
        before = (self._looked, self._usable, self._reason)
        self._reason = await self._look(self._endpoint)
        self._looked = True
        if (self._looked, self._usable, self._reason) != before:
            chosen = (await self.current()).llm
            _log.info(
                "model_chosen",
                adapter=chosen.adapter if chosen else "extractive",
                model=chosen.model if chosen else None,
                reason=self._reason,
            )
            if self._reason is None:
                await self._prepare(self._endpoint)

    async def watch(self) -> None:
        """Refresh every :data:`CHECK_SECONDS`, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(CHECK_SECONDS)

    async def _look(self, endpoint: Endpoint) -> str | None:
        """What is wrong, if anything."""
        try:
            self._names = await endpoint.models()
            await endpoint.check()
        except ModelMissing as error:
            self._usable = not self._optional
            return error.message
        except RagError as error:
            return error.message
        self._usable = True
        return None

    async def _prepare(self, endpoint: Endpoint) -> None:
        try:
            await endpoint.prepare()
        except (ModelUnavailable, ModelMissing) as error:
            # The first question will load it, or be told what is wrong.
            _log.warning("model_not_loaded", model=endpoint.model, reason=error.message)
