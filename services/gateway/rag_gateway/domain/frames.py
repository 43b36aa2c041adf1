"""The frames of one answer put in order: one attempt's text or a restart, never a mixture."""

from rag_common.contracts import AnswerOpened, QueryFailed
from rag_gateway.domain.answers import AnswerBroken, AnswerEvent

Frame = AnswerEvent | QueryFailed
"""What arrives on the reply subject of an ask."""


class FrameOrder:
    """Admits each frame of the newest attempt once, in sequence.

    A killed worker's question is answered again by another one, with a higher attempt, while frames of the
    first may still be under way; and a request that was not answered in time is sent again.
    """

    def __init__(self) -> None:
        self._attempt = 0
        self._sequence = 0

    def admit(self, frame: AnswerEvent) -> bool:
        """Whether the frame comes next; otherwise it was seen before, or its attempt was given up.

        :raises AnswerBroken: what comes before the frame is missing.
        """
        if isinstance(frame, AnswerOpened):
            if frame.attempt <= self._attempt:
                return False
            self._attempt, self._sequence = frame.attempt, 0
            return True
        if frame.attempt < self._attempt or (
            frame.attempt == self._attempt and frame.sequence <= self._sequence
        ):
            return False
        if frame.attempt > self._attempt or frame.sequence != self._sequence + 1:
            raise AnswerBroken("a piece of the answer was lost on its way; ask again")
        self._sequence = frame.sequence
        return True

    def ends(self, failure: QueryFailed) -> bool:
        """Whether a failure is that of the answer: not if its attempt was overtaken.

        One without an attempt is from before the first, and concerns none that has been opened.
        """
        return (failure.attempt or 0) >= self._attempt

    def wanted(self, frame: AnswerEvent) -> bool:
        """Whether the attempt that a frame belongs to is the newest."""
        return frame.attempt >= self._attempt
