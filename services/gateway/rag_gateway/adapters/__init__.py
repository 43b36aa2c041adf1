"""The gateway's technologies, one module each."""
