"""The message broker of every service: FastStream over JetStream, with the house rules built in."""

from rag_common.broker.cancellation import Cancellations
from rag_common.broker.client import flush
from rag_common.broker.connection import Broker, create_broker
from rag_common.broker.consuming import consume
from rag_common.broker.job import Handler, Job
from rag_common.broker.publishing import DuplicateMessage, MessageTooLarge, Publisher

__all__ = [
    "Broker",
    "Cancellations",
    "DuplicateMessage",
    "Handler",
    "Job",
    "MessageTooLarge",
    "Publisher",
    "consume",
    "create_broker",
    "flush",
]
