"""Shipped test support: real servers as context managers."""

from rag_common.embedded import MissingProgramError, nats_server_binary, postgres_bin_dir

__all__ = ["MissingProgramError", "nats_server_binary", "postgres_bin_dir"]
