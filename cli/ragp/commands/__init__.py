"""One module per group of commands; each function becomes a command in ``ragp.main``."""
