"""What the Makefile runs; none of it is shipped in the distribution."""
