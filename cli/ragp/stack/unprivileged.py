"""Running a program as an unprivileged user when the supervisor is root."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from ragp.errors import StackError
from ragp.stack import launch

SYSTEM_USER = "ragp"
PROGRAM_CACHE = Path("/var/cache/ragp")

Owner = tuple[int, int]
"""User id and group id."""


def as_user(owner: Owner | None, *command: str) -> tuple[str, ...]:
    """The command that runs ``command`` as this user and dies with this process."""
    if owner is None:
        return command
    user = "{}:{}".format(*owner)
    parent, death_signal = str(os.getpid()), str(int(signal.SIGKILL))
    return (sys.executable, "-I", "-S", launch.__file__, parent, death_signal, user, *command)


def unprivileged_user() -> Owner:
    """User and group id of the system user ``ragp``, created where missing; else of ``nobody``.

    :raises StackError: there is neither.
    """
    with contextlib.suppress(KeyError):
        return _ids(SYSTEM_USER)
    useradd = shutil.which("useradd")
    if useradd is not None:
        arguments = ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        subprocess.run([useradd, *arguments], check=False, capture_output=True)  # noqa: S603 - fixed arguments
    for name in (SYSTEM_USER, "nobody"):
        with contextlib.suppress(KeyError):
            return _ids(name)
    raise StackError(
        "PostgreSQL does not run as root, and there is no unprivileged user to run it as",
        cure=f"create one (useradd --system {SYSTEM_USER}), or run ragp as a normal user",
    )


def _ids(name: str) -> Owner:
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


def _runs(owner: Owner, program: str) -> bool:
    command = as_user(owner, program, "--version")
    return subprocess.run(command, check=False, capture_output=True, cwd="/").returncode == 0  # noqa: S603 - own program


def reachable_programs(programs: Path, owner: Owner, cache: Path = PROGRAM_CACHE) -> Path:
    """PostgreSQL's directory of programs, or a copy of it in ``cache`` where the user can reach it.

    :raises StackError: it can neither be reached nor copied.
    """
    if _runs(owner, str(programs / "postgres")):
        return programs
    installation = programs.parents[1]
    copy = cache / f"postgres-{installation.stat().st_mtime_ns:x}"
    reachable = copy / installation.name / "pginstall" / "bin"
    try:
        if not reachable.exists():
            _copy_installation(installation, copy)
    except OSError as error:
        raise StackError(
            f"PostgreSQL does not run as root, and an unprivileged user cannot reach {programs}: {error}",
            cure="install the virtual environment where other users can enter, or run ragp as a normal user",
        ) from error
    return reachable


def _copy_installation(installation: Path, target: Path) -> None:
    """Copy the package and the libraries beside it; complete or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        unfinished = Path(name) / "copy"
        shutil.copytree(installation, unfinished / installation.name)
        libraries = installation.with_name(f"{installation.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name)
        for path in (unfinished, *unfinished.rglob("*")):
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
        os.replace(unfinished, target)
