"""Choose how nodes reach each other."""

from bolide.server.broadcast.base import Broadcast
from bolide.server.broadcast.direct import DirectBroadcast
from bolide.server.broadcast.store import StoreBroadcast
from bolide.server.clock import Clock
from bolide.server.settings import Settings
from bolide.server.stores.base import Store
from bolide.server.stores.memory import MemoryStore

__all__ = ["make_broadcast"]


def make_broadcast(store: Store, clock: Clock, settings: Settings) -> Broadcast:
    """Make the broadcast of a node; not open yet.

    Args:
        store: The node's. In memory it is nobody else's, so there are no other nodes.
        clock: The time.
        settings: Limits.
    """
    if isinstance(store, MemoryStore):
        return DirectBroadcast(settings.limits)
    return StoreBroadcast(store, clock, settings.limits)
