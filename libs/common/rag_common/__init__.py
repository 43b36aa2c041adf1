"""What every service shares: contracts, topology, broker, registry and service set-up."""
