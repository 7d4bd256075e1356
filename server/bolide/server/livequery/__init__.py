"""Live queries: one shared observer for all equal queries of a node."""
