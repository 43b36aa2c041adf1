"""Who is calling: bearer tokens, and the bootstrap API key."""

import hashlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

import structlog

from rag_common.errors import PermanentError

KEY_PREFIX = "rag_"
_log = structlog.get_logger(__name__)


class NoIdentity(PermanentError):
    """The request carries no valid API key."""

    code = "unauthorized"


@dataclass(frozen=True, slots=True)
class Caller:
    """``principals`` decide what the caller may read; an administrator manages every document."""

    name: str
    tenant: str
    principals: tuple[str, ...]
    administrator: bool = False

    @property
    def manages(self) -> tuple[str, ...] | None:
        """Principals that narrow which documents the caller lists and changes; ``None``: all."""
        return None if self.administrator else self.principals


class ApiKeys:
    """The known keys, by the SHA-256 of their text: a key itself is never kept in memory."""

    def __init__(self, callers: dict[str, Caller]) -> None:
        """:param callers: API key → its caller."""
        self._callers = [(_digest(key), caller) for key, caller in callers.items()]

    def caller(self, authorization: str | None) -> Caller:
        """The caller that an ``Authorization`` header names.

        :raises NoIdentity: no header, another scheme, or an unknown key.
        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise NoIdentity("send your API key in the header 'Authorization: Bearer …'")
        offered = _digest(key.strip())
        found: Caller | None = None
        for digest, caller in self._callers:
            if hmac.compare_digest(digest, offered):
                found = caller
        if found is None:
            raise NoIdentity("the API key is not known")
        return found


def bootstrap_key(path: Path) -> str:
    """The key in the file, which is created at the first start: mode 0600, whole or not at all.

    :raises PermanentError: the file is empty, or cannot be read or created.
    """
    path = path.expanduser()
    try:
        _create(path)
        key = path.read_text().strip()
        if path.stat().st_mode & 0o077:
            _log.warning("api_key_file_readable_by_others", path=str(path), cure=f"chmod 600 {path}")
    except OSError as error:
        raise PermanentError(f"the API key file {path} cannot be used: {error.strerror}") from error
    if not key:
        raise PermanentError(f"the API key file {path} is empty; remove it to have a new key made")
    return key


def _create(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{KEY_PREFIX}{secrets.token_urlsafe(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        # a link never replaces: of two gateways that start at once, one key wins for both
        os.link(name, path)
    except FileExistsError:
        return
    finally:
        os.unlink(name)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
