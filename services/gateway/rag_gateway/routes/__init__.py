"""The public HTTP API, a module per resource."""
