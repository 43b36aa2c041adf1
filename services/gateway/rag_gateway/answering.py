"""One question on its way through the layers that answer: counted, and recorded when it is complete."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from rag_common.contracts import AnswerDone, AnswerOpened
from rag_gateway.dependencies import Gateway
from rag_gateway.domain.answers import AnswerEvent, Ask, CollectedAnswer, SlowReader
from rag_gateway.domain.recording import Recording


class Answering:
    """What a route streams or waits for; ``collected`` is what has come so far."""

    def __init__(self, gateway: Gateway, ask: Ask, recording: Recording) -> None:
        self._gateway = gateway
        self._ask = ask
        self.recording = recording
        self.collected = CollectedAnswer()

    async def events(self) -> AsyncGenerator[AnswerEvent, None]:
        """The events of the answer, once; it is recorded by the time its end is yielded.

        An answer that fails, or whose client leaves, is not recorded. Raises what
        :class:`rag_gateway.domain.answers.Answers` raises.

        :raises SlowReader: events are still taken one patience after the time to answer was over. Each of
            them in its time would keep the answer, and the place of a question, for ever.
        """
        metrics, collected = self._gateway.metrics, self.collected
        started, outcome = time.perf_counter(), "cancelled"
        longest = self._ask.timeout + self._gateway.settings.body_timeout
        try:
            with metrics.open_answers.track_inprogress():
                async with aclosing(self._gateway.answers(self._ask)) as events:
                    async for event in events:
                        if time.perf_counter() - started > longest:
                            raise SlowReader(
                                "the client does not read its answer; read faster, or ask without streaming"
                            )
                        if collected.opened is None:
                            metrics.first_event_seconds.observe(time.perf_counter() - started)
                        if isinstance(event, AnswerDone):
                            event = _timed(event, time.perf_counter() - started)
                        collected.add(event)
                        if isinstance(event, AnswerDone):
                            await self.recording.finish(collected)
                            outcome = _outcome(collected.opened, event)
                        yield event
        except Exception:
            outcome = "failed"
            raise
        finally:
            metrics.questions.labels(outcome).inc()
            metrics.answer_seconds.observe(time.perf_counter() - started)

    async def complete(self) -> None:
        """Take all events; then ``collected`` is the whole answer."""
        async with aclosing(self.events()) as events:
            async for _ in events:
                pass


def _timed(done: AnswerDone, seconds: float) -> AnswerDone:
    # a copy: others may be given the same answer
    timings = {**done.timings_ms, "total": round(seconds * 1000, 3)}
    return done.model_copy(update={"timings_ms": timings})


def _outcome(opened: AnswerOpened | None, done: AnswerDone) -> str:
    if opened is not None and opened.cached:
        return "cached"
    if not done.answered:
        return "not_found"
    return "degraded" if opened is not None and opened.degraded else "answered"
