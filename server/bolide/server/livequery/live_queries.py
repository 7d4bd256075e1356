"""All live queries of a node: equal ones are shared, and the feed reaches each once."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bolide.core.keys import Key, key_of
from bolide.server.livequery.dependents import Dependents
from bolide.server.livequery.followers import Follower
from bolide.server.livequery.multiplexer import Multiplexer
from bolide.server.stores.base import Change, ChangeBatch, Position, Query, Store
from bolide.server.turn import Turn

__all__ = ["Following", "LiveQueries"]


class Following:
    """One follower of one live query."""

    __slots__ = ("_follower", "_live_queries", "_multiplexer")

    def __init__(
        self, live_queries: "LiveQueries", multiplexer: Multiplexer, follower: Follower
    ) -> None:
        """Remember who follows what."""
        self._live_queries = live_queries
        self._multiplexer = multiplexer
        self._follower = follower

    def stop(self) -> None:
        """Be told nothing more; harmless a second time."""
        self._multiplexer.leave(self._follower)
        self._live_queries.release(self._multiplexer)


class LiveQueries:
    """The live queries of one node, fed by its store.

    Args:
        store: Open; it is listened to while there is a live query.
        turn: Tells followers at its end.
        count_sent: Called with the number of messages that went straight to sockets.

    Attributes:
        dependents: Followers whose own consequences a fence waits for.
    """

    def __init__(
        self,
        store: Store,
        turn: Turn,
        count_sent: Callable[[int], object] = lambda number: None,
    ) -> None:
        """Begin without a query."""
        self.dependents = Dependents()
        self._store = store
        self._turn = turn
        self._count_sent = count_sent
        self._by_key: dict[Key, Multiplexer] = {}
        self._joining: dict[Multiplexer, int] = {}
        store.listen(self)

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Multiplexer]:
        return iter(self._by_key.values())

    async def follow(self, query: Query, follower: Follower) -> Following:
        """Follow a query; its documents were given to the follower when this returns.

        Args:
            query: Equal ones share one result.
            follower: Who is told.

        Raises:
            MinimongoError: If the query does not compile.
        """
        multiplexer = self._shared(query)
        # Nobody may close it while somebody waits for its first result.
        self._joining[multiplexer] = self._joining.get(multiplexer, 0) + 1
        try:
            await multiplexer.start()
            multiplexer.join(follower)
        except Exception:
            self._forget(multiplexer)
            raise
        finally:
            self._joining[multiplexer] -= 1
            if not self._joining[multiplexer]:
                del self._joining[multiplexer]
            self.release(multiplexer)
        return Following(self, multiplexer, follower)

    async def settle(self, fence: Mapping[str, Position]) -> None:
        """Wait until the effects of writes were given to every follower on this node.

        Args:
            fence: Position of the last write, by collection.
        """
        # A handler's own tasks may write, and move the fence, while we wait.
        for collection, position in tuple(fence.items()):
            await self._store.feed_reached(position)
            touched = [m for m in self._by_key.values() if m.query.collection == collection]
            await asyncio.gather(*(multiplexer.settled(position) for multiplexer in touched))
            for multiplexer in touched:
                multiplexer.catch_up()
        # All followers were told; some follow other queries because of it.
        await self.dependents.settled(fence.keys())

    async def idle(self) -> None:
        """Wait until every live query has told everything it knows, and all followed from it."""
        await asyncio.gather(*(multiplexer.settled() for multiplexer in self._by_key.values()))
        self._catch_up()
        while self.dependents:
            await self.dependents.settled()
            await asyncio.gather(*(multiplexer.settled() for multiplexer in self._by_key.values()))
            self._catch_up()

    def _catch_up(self) -> None:
        for multiplexer in tuple(self._by_key.values()):
            multiplexer.catch_up()

    def release(self, multiplexer: Multiplexer) -> None:
        """Close a live query that nobody follows or waits for."""
        if not multiplexer.follower_count and multiplexer not in self._joining:
            self._forget(multiplexer)
            multiplexer.close()

    def close(self) -> None:
        """End all live queries."""
        self._store.unlisten(self)
        for multiplexer in self._by_key.values():
            multiplexer.close()
        self._by_key.clear()

    # The store's side

    def changes_received(self, batch: ChangeBatch) -> None:
        """Give each live query the changes of its collection."""
        by_collection: dict[str, list[Change]] = {}
        for change in batch.changes:
            by_collection.setdefault(change.collection, []).append(change)
        for multiplexer in tuple(self._by_key.values()):
            changes = by_collection.get(multiplexer.query.collection)
            if changes is not None:
                multiplexer.changes_received(changes)

    def history_lost(self, position: Position) -> None:
        """Let each live query read again."""
        for multiplexer in tuple(self._by_key.values()):
            multiplexer.history_lost(position)

    # Inside

    def _shared(self, query: Query) -> Multiplexer:
        key = _key(query)
        multiplexer = self._by_key.get(key)
        if multiplexer is None or multiplexer.is_closed:
            multiplexer = self._by_key[key] = Multiplexer(
                query, self._store, self._turn, self._count_sent
            )
        return multiplexer

    def _forget(self, multiplexer: Multiplexer) -> None:
        key = _key(multiplexer.query)
        if self._by_key.get(key) is multiplexer:
            del self._by_key[key]


def _key(query: Query) -> Key:
    selector: dict[str, Any] = dict(query.selector)
    projection = None if query.projection is None else key_of(dict(query.projection))
    window = (query.sort, query.skip, query.limit)
    return (query.collection, key_of(selector), *window, projection, query.access)
