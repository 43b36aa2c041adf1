"""The gateway's use cases, and what they need from the world outside."""
