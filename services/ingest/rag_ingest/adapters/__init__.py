"""One module per technology, conforming to the Protocols of the domain."""
