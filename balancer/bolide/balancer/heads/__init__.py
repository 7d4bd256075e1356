"""Heads, bodies and forwarding fields of HTTP/1.1: parsed strictly, written anew; sans-I/O."""
