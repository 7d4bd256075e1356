"""TLS of a node's own: records go straight from OpenSSL into the socket."""
