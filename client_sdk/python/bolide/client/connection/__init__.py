"""The way to a server: which address is dialled when, over which socket."""
