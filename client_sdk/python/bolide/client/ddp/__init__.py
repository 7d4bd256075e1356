"""The client's side of DDP: what it asks of a server, over all connections of one client."""
