"""Which live queries a change can affect."""
