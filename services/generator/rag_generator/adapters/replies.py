"""The reply subjects of those who ask, over core NATS."""

import nats.errors
from pydantic import ValidationError

from rag_common.broker import Broker, MessageTooLarge, Publisher
from rag_common.contracts import MAX_MESSAGE_BYTES, AnswerDelta, AnswerDone, AnswerOpened, AnswerWanted
from rag_common.errors import TransientError
from rag_generator.domain.ports import NobodyListens

ANSWER_SECONDS = 2.0
"""That a gateway has to say whether an answer is wanted."""


class NatsReplies:
    """See :class:`~rag_generator.domain.ports.Replies`."""

    def __init__(self, broker: Broker, publisher: Publisher) -> None:
        self._broker = broker
        self.send = publisher.reply

    async def wanted(self, reply_to: str, message: AnswerOpened | AnswerDelta | AnswerDone) -> bool:
        body = message.encode()
        if len(body) > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(f"a message of {len(body)} bytes is above the limit of {MAX_MESSAGE_BYTES}")
        try:
            return AnswerWanted.decode(await self._broker.ask(reply_to, body, ANSWER_SECONDS)).wanted
        except nats.errors.NoRespondersError as error:
            raise NobodyListens("no gateway listens for the answer") from error
        except nats.errors.TimeoutError as error:
            raise TransientError(f"the gateway has not answered within {ANSWER_SECONDS:g} s") from error
        except nats.errors.Error as error:
            raise TransientError(f"NATS is unavailable: {error}") from error
        except ValidationError as error:
            raise TransientError("the gateway's answer does not decode") from error
