"""What ``ragp up --detach`` tells of a supervisor that has ended."""

from ragp.commands.run import reported_error


def test_a_message_that_quotes_errors_is_told_whole() -> None:
    message = "gateway does not start; the end of its log:\nconfig error: no port\ntry: again\nlast line"
    error = reported_error(f"12:00:00 nats ready\nerror: {message}\ntry:   see the log\n")
    assert (error.message, error.cure) == (message, "see the log")


def test_a_message_without_a_cure() -> None:
    error = reported_error("error: no")
    assert (error.message, error.cure) == ("no", None)


def test_anything_else_is_told_as_it_stands() -> None:
    assert reported_error("Killed").message == "Killed"
