"""The MongoDB store: one change stream, snapshots that join it, majority writes."""

from bolide.server.stores.mongo.store import MongoStore

__all__ = ["MongoStore"]
