"""Presence: who is here now, on any node."""
