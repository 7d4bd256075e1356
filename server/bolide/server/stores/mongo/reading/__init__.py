"""Queries, and snapshots whose cluster time is known."""
