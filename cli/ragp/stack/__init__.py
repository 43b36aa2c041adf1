"""The embedded stack: nats-server, PostgreSQL and the five services as processes of one supervisor."""

from ragp.stack.supervisor import DEFAULT_PORT, Stack

__all__ = ["DEFAULT_PORT", "Stack"]
