"""The log, and what may be written into it."""
