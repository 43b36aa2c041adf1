"""What the API takes and returns, as JSON."""
