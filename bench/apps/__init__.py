"""Apps under test; ``bolide run`` serves them as it would serve anybody's."""
