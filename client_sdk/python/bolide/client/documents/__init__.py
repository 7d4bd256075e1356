"""What a client holds: what the server told, under what stubs wrote."""
