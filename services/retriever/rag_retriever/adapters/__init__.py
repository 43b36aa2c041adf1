"""One module per technology; each conforms to a Protocol of the domain."""
