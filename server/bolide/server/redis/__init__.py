"""Redis, where an operator gives one: shared counters, hints from foreign writers, broadcast."""
