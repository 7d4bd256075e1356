"""The data plane: sockets, and what comes in at one and goes out at another."""
