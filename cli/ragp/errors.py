"""What the command line tells its user instead of a traceback."""


class CommandError(Exception):
    """A failure with its cure: ``message`` says what is wrong, ``cure`` what to do about it."""

    def __init__(self, message: str, *, cure: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure


class StackError(CommandError):
    """The embedded stack cannot start, or does not run."""


class GatewayError(CommandError):
    """The gateway refused a request; ``status`` is the HTTP status, ``code`` the problem's code."""

    def __init__(self, message: str, *, status: int, code: str, cure: str | None = None) -> None:
        super().__init__(message, cure=cure)
        self.status = status
        self.code = code
