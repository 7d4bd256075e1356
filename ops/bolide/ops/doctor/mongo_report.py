"""What ``bolide doctor --store`` tells of a MongoDB: whether a node could use it."""

from collections.abc import Sequence

from bolide.server.clock import SystemClock
from bolide.server.settings import Settings
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.mongo.connecting.connection import connected
from bolide.server.stores.urls import open_store

__all__ = ["inspect_mongodb", "names_mongodb"]


def names_mongodb(settings: Settings) -> bool:
    """Tell whether the store is a MongoDB.

    Raises:
        ConfigurationError: If there can be no such store.
    """
    return isinstance(open_store(settings.store), MongoStore)


async def inspect_mongodb(settings: Settings) -> Sequence[tuple[str, str]]:
    """Connect as a node does.

    Args:
        settings: Whose store, a MongoDB.

    Returns:
        Names and values.

    Raises:
        ConfigurationError: If a node could not use it; says why and what helps.
    """
    client, database = await connected(
        settings.store, SystemClock(), insecure=settings.insecure_store
    )
    try:
        hello = await client.admin.command("hello")
        build = await client.admin.command("buildInfo")
    finally:
        await client.close()
    return (
        ("MongoDB", str(build["version"])),
        ("database", database),
        ("replica set", str(hello.get("setName", "none: a sharded cluster"))),
        ("members", str(len(hello.get("hosts", ())))),
        ("clock", "close to this machine's"),
    )
