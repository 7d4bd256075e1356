"""Joins: what the children of a published cursor add to it."""
