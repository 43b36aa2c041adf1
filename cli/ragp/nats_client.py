"""A NATS connection for a command: short-lived, and clear when nothing answers."""

import contextlib
from collections.abc import AsyncIterator

import nats
import nats.errors
from nats.aio.client import Client

from ragp.errors import CommandError
from ragp.target import Nats

_CONNECT_SECONDS = 3
REQUEST_SECONDS = 10.0


@contextlib.asynccontextmanager
async def connected(target: Nats) -> AsyncIterator[Client]:
    """:raises CommandError: NATS does not answer or refuses the credentials."""

    async def quiet(_: Exception) -> None:
        """The command itself reports; the library would log a traceback."""

    try:
        client = await nats.connect(
            target.url,
            user=target.user,
            password=target.password,
            inbox_prefix=target.inbox.encode(),
            connect_timeout=_CONNECT_SECONDS,
            allow_reconnect=False,
            error_cb=quiet,
        )
    except (OSError, nats.errors.Error) as error:
        raise CommandError(
            f"no NATS at {target.url}: {error or type(error).__name__}",
            cure="start the stack: ragp up --detach",
        ) from error
    try:
        yield client
    finally:
        await client.close()
