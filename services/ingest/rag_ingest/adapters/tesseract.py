"""What there is of tesseract, the program that recognises text, on this machine."""

import subprocess

_SECONDS = 30
"""Of a call that only lists something; it takes 20 ms on an idle machine."""


def installed_languages(program: str) -> frozenset[str]:
    """Names as tesseract has them, such as ``eng``.

    :raises OSError: the program cannot be started.
    """
    return frozenset(_answer(program, "--list-langs")[1:])


def describe(program: str | None, languages: str) -> str:
    """Its version, and which of the ``languages`` (as in ``eng+rus``) it has; empty: it is not there."""
    if program is None:
        return ""
    try:
        installed = installed_languages(program)
        version = _answer(program, "--version")[0]
    except (FileNotFoundError, PermissionError):
        return ""
    return f"{version} {'+'.join(sorted(installed & set(languages.split('+'))))}"


def _answer(program: str, option: str) -> list[str]:
    """Lines of its standard output."""
    found = subprocess.run(  # noqa: S603 - a program of the operator
        (program, option), capture_output=True, timeout=_SECONDS, check=False
    )
    return found.stdout.decode(errors="replace").split("\n")
