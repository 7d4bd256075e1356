"""Which node gets a new connection."""
