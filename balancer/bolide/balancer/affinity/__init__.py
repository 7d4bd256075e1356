"""The cookie that brings a client back to its node."""
