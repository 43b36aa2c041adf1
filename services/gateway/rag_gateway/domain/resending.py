"""Text that cannot be taken back from its reader, where the answer may be begun anew."""

from rag_common.errors import TransientError


class AnswerRestarted(TransientError):
    """The answer was begun anew, and reads differently from what the client has already."""

    code = "answer_restarted"


class SentText:
    """What a client has of an answer.

    A killed service's work is done again, often with the same words: quotations always, a model's where it
    does not choose at random. So after a restart nothing is sent until the new text has caught up with what
    was sent, and the answer ends where the two differ.
    """

    def __init__(self) -> None:
        self._sent = ""
        self._repeated: int | None = None
        """Characters of the sent text that the new attempt has repeated; ``None``: there was no restart."""

    def restart(self) -> None:
        """The text begins again."""
        self._repeated = 0

    def add(self, text: str) -> str:
        """The part of the next piece that is to be sent now.

        :raises AnswerRestarted: it is not what was sent at this place.
        """
        if self._repeated is not None:
            repeating = text[: len(self._sent) - self._repeated]
            if not self._sent.startswith(repeating, self._repeated):
                raise _restarted()
            self._repeated += len(repeating)
            text = text[len(repeating) :]
        self._sent += text
        if self._repeated is not None:
            self._repeated += len(text)
        return text

    def end(self) -> None:
        """:raises AnswerRestarted: the text ends before all of what was sent."""
        if self._repeated is not None and self._repeated < len(self._sent):
            raise _restarted()


def _restarted() -> AnswerRestarted:
    return AnswerRestarted("the answer was begun anew in other words; ask again")
