"""The change stream, and changes made from its events."""
