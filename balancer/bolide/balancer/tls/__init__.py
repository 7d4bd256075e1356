"""TLS: towards browsers, towards nodes, and whether it is what it should be."""
