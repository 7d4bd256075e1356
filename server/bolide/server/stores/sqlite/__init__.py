"""The SQLite store: one file, the thread that writes to it, and what processes share beside it."""

from bolide.server.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
