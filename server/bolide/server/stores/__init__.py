"""Where documents live: one port, several databases behind it."""
