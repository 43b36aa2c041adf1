"""Publishing onto a queue from a command: patient while it is full, clear when it is not there."""

import asyncio
import secrets

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import Header

from ragp.errors import CommandError

ACK_SECONDS = 10.0
_FULL_PAUSE_SECONDS = 1.0
_NO_ROOM_CODES = frozenset({10023, 10028, 10047, 10077})
"""JetStream's "insufficient resources" and "maximum messages exceeded" (errors.json of the server)."""


async def publish(jetstream: JetStreamContext, subject: str, stream: str, body: bytes, *, about: str) -> int:
    """Returns the sequence in the stream once JetStream has the message.

    While the queue is full this waits: nothing is lost and nothing is buffered. ``about`` names the
    message in an error.

    :raises CommandError: NATS refuses or does not answer.
    """
    # The same id for every try: a lost acknowledgement must not make a second message.
    headers = {Header.MSG_ID.value: secrets.token_hex(16)}
    while True:
        try:
            ack = await jetstream.publish(subject, body, stream=stream, headers=headers)
        except nats.js.errors.APIError as error:
            if error.err_code not in _NO_ROOM_CODES:
                raise CommandError(f"NATS refused {about}: {error}") from error
            await asyncio.sleep(_FULL_PAUSE_SECONDS)
        except (nats.errors.Error, TimeoutError) as error:
            raise CommandError(f"NATS does not answer: {error!r}", cure="ragp status") from error
        else:
            return ack.seq
