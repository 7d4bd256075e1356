"""The audit log: who did what, when, where from, and how it ended."""
