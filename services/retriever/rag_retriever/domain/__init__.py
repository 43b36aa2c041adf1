"""What the retriever does, without saying how: no I/O, no framework, no driver."""
