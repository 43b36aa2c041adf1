"""The generator's settings."""

from rag_common.settings import ServiceSettings


class GeneratorSettings(ServiceSettings):
    """Nothing of its own yet."""
