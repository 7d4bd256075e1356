"""The supervisor: it keeps sockets and workers, and tells workers which nodes there are."""
