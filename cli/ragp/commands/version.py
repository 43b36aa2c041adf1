"""``ragp version``."""

import importlib.metadata

from ragp.console import out


def version() -> None:
    """Print the version of the platform."""
    out.print(importlib.metadata.version("rag-platform"))
