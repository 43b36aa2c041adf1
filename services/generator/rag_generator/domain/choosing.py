"""Which model writes the answers, or that none does: then they consist of quotations."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import structlog

from rag_common.contracts import Adapter, GeneratorDescription
from rag_common.errors import RagError
from rag_generator.domain.llm import LLM, ModelMissing, Piece, Prompt

CHECK_SECONDS = 10.0
"""Between two looks at an endpoint that cannot be used: so long may a model that was pulled go unnoticed."""
RECHECK_SECONDS = 60.0
"""Between two looks at one that can; what happens to it in between, the questions learn."""

_log = structlog.get_logger(__name__)


class Endpoint(Protocol):
    """A model behind an endpoint that can be looked at."""

    @property
    def adapter(self) -> Adapter: ...

    @property
    def model(self) -> str: ...

    @property
    def context_tokens(self) -> int: ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """See :meth:`LLM.stream`; here nobody but the caller limits how long it takes."""

    async def models(self) -> tuple[str, ...]:
        """Names of the models that the endpoint has; none where it does not tell.

        :raises ModelUnavailable: it does not answer.
        :raises ModelRefused: it answers, but not us.
        """

    def missing(self, names: Sequence[str]) -> ModelMissing | None:
        """What is wrong if the endpoint has these models and no others."""

    async def needs_loading(self) -> bool:
        """Whether the model is there but not loaded, and not because it has been idle for as long as the
        settings allow.

        :raises ModelUnavailable: the endpoint does not answer.
        :raises ModelRefused: it answers, but not us.
        """

    async def load(self) -> None:
        """Load the model, which may take minutes, so that no question has to wait for it.

        :raises ModelUnavailable: it was not loaded.
        :raises ModelMissing: there is none.
        :raises ModelRefused: it cannot be loaded.
        """


class WatchedLLM(LLM, Endpoint, Protocol):
    """What can be chosen."""


class Models:
    """Knows whether the configured model can be used, from looks at its endpoint now and then.

    ``endpoint`` is ``None`` where answers are to consist of quotations. An ``optional`` model is not chosen
    before its endpoint has been seen to have it; any other always is, and whoever asks it learns what is
    wrong. A model that was seen stays chosen while its endpoint does not answer: that is a failure, which
    passes, whereas a missing model is somebody's decision.
    """

    def __init__(self, endpoint: WatchedLLM | None, *, optional: bool = False) -> None:
        self._endpoint = endpoint
        self._optional = optional
        self._usable = endpoint is not None and not optional
        self._names: tuple[str, ...] = ()
        self._reason: str | None = None
        self._told: GeneratorDescription | None = None
        self._unloaded = False

    def current(self) -> LLM | None:
        """Who answers the next question. ``None``: sentences are to be quoted, by the settings or because
        there is no model, which :meth:`describe` tells; neither is a failure."""
        return self._endpoint if self._usable else None

    async def describe(self, prompt_version: str) -> GeneratorDescription:
        """Who answers, what the endpoint has, and what is wrong with the model that was configured."""
        llm = self.current()
        return GeneratorDescription(
            adapter=llm.adapter if llm else "extractive",
            model=llm.model if llm else None,
            prompt_version=prompt_version,
            models=self._names,
            reason=self._reason,
        )

    async def refresh(self) -> None:
        """Look at the endpoint. Who answers is logged when it was not known, or has changed."""
        if self._endpoint is not None:
            self._reason = await self._look(self._endpoint)
        now = await self.describe("")
        if self._told is None or (now.adapter, now.reason) != (self._told.adapter, self._told.reason):
            _log.info("model_chosen", adapter=now.adapter, model=now.model, reason=now.reason)
        self._told = now

    async def watch(self) -> None:
        """Load the model whenever it is not, and look at the endpoint again, until cancelled.

        While it is loaded, questions go to it all the same: they wait as long as for any first token.
        """
        if self._endpoint is None:
            return
        while True:
            try:
                if self._unloaded:
                    await self._load(self._endpoint)
                await asyncio.sleep(RECHECK_SECONDS if self._reason is None else CHECK_SECONDS)
                await self.refresh()
            except Exception:  # noqa: BLE001 - a bug: else what is known would stay as it is for good
                _log.exception("model_not_watched", model=self._endpoint.model)
                await asyncio.sleep(CHECK_SECONDS)

    async def _look(self, endpoint: Endpoint) -> str | None:
        """What is wrong, if anything."""
        self._unloaded = False
        try:
            self._names = await endpoint.models()
            missing = endpoint.missing(self._names)
            self._unloaded = missing is None and await endpoint.needs_loading()
        except RagError as error:
            return error.message
        self._usable = missing is None or not self._optional
        if missing:
            return missing.message
        notice = f"the model {endpoint.model} is being loaded"
        return notice if self._unloaded else None

    async def _load(self, endpoint: Endpoint) -> None:
        try:
            await endpoint.load()
        except RagError as error:
            # It is tried again after the next look; until then a question has it loaded, or is told why not.
            self._reason = error.message
            _log.warning("model_not_loaded", model=endpoint.model, reason=error.message)
        else:
            await self.refresh()
