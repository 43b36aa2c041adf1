"""What answering needs from outside."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag_common.contracts import AnswerDelta, AnswerDone, AnswerOpened, Message
from rag_common.errors import TransientError

Vectors = NDArray[np.float32]
"""One row per text, of length 1."""


class EncoderUnavailable(TransientError):
    """No embedder has encoded the texts in time."""

    code = "embedder_unavailable"


class NobodyListens(TransientError):
    """Nobody is subscribed to a reply subject: a gateway that has died, or one that is reconnecting."""

    code = "nobody_listens"


class SentenceEncoder(Protocol):
    """Vectors of sentences, as the model of a space makes them of passages."""

    async def __call__(self, space: str, texts: Sequence[str]) -> Vectors:
        """Shape (texts, dimension), in the order of the texts; every row has length 1.

        :raises EncoderUnavailable: no usable answer in time.
        """


class Replies(Protocol):
    """The way to those who asked."""

    async def send(self, reply_to: str, message: Message) -> None:
        """Put the message on its way; nobody tells whether it arrives.

        :raises TransientError: NATS is away.
        :raises PermanentError: the message is too large.
        """

    async def wanted(self, reply_to: str, message: AnswerOpened | AnswerDelta | AnswerDone) -> bool:
        """Send the message as a request; whether the answer is to go on.

        The message is ahead of whatever is sent after this has begun to wait.

        :raises NobodyListens: the message has arrived nowhere.
        :raises TransientError: nobody has said in time, or NATS is away.
        :raises PermanentError: the message is too large.
        """
