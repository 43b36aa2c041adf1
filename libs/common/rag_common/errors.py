"""The exception tree. A failure is named by what should happen next.

::

    RagError
    ├── PermanentError        no retry can help: dead-letter, or answer 4xx
    │   ├── BadMessage            the job does not decode or contradicts itself
    │   └── BadDocument           the document cannot be read: damaged, protected, empty
    └── TransientError        a dependency is down: hold and retry, or answer 503
        └── Overloaded            a queue refused the job: back-pressure
"""


class RagError(Exception):
    """``code`` is for programs (``snake_case``), the message for people."""

    code = "internal_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class PermanentError(RagError):
    """No retry can help."""

    code = "permanent_error"


class BadMessage(PermanentError):
    """The job does not decode or contradicts itself."""

    code = "bad_message"


class BadDocument(PermanentError):
    """The document cannot be read."""

    code = "bad_document"


class TransientError(RagError):
    """A dependency is down. ``retry_after``: seconds to wait before the next try."""

    code = "unavailable"

    def __init__(self, message: str, *, code: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Overloaded(TransientError):
    """A queue is full."""

    code = "overloaded"
