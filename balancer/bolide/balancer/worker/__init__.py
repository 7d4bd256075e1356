"""A worker process: what it is told, and what it does with it."""
