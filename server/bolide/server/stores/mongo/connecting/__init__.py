"""Reaching a replica set, and saying why that fails."""
