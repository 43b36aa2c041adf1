"""How an answer comes about: pure, without I/O."""
