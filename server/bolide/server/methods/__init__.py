"""Methods: what clients may call, by name."""
