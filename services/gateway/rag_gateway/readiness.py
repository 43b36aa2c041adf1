"""Readiness as anybody may see it: the gateway's port is the public one."""

import structlog

from rag_common.service import Readiness

UNAVAILABLE = "unavailable"

_log = structlog.get_logger(__name__)


class PublicReadiness(Readiness):
    """Names the checks that fail; what they say of hosts, users and versions goes to the log."""

    async def problems(self) -> dict[str, str]:
        """Which checks fail; empty when the service is ready."""
        problems = await super().problems()
        if problems:
            _log.warning("not_ready", **{f"check_{name}": reason for name, reason in problems.items()})
        return dict.fromkeys(problems, UNAVAILABLE)
