"""How well nodes are: what probes and workers noticed becomes their state."""
