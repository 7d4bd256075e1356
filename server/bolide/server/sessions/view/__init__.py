"""The view: what one client is to see, what it was told, and what waits in between."""
