"""All live queries of a node: equal ones are shared, and the feed reaches each once."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from time import perf_counter
from typing import Any

import structlog

from bolide.core.keys import Key, key_of
from bolide.server.clock import Clock, SystemClock
from bolide.server.limits import Limits
from bolide.server.livequery.advice.index_advice import IndexAdvice
from bolide.server.livequery.advice.statistics import LiveQueryStatistics
from bolide.server.livequery.dependents import Dependents
from bolide.server.livequery.followers import Follower
from bolide.server.livequery.multiplexer import Multiplexer
from bolide.server.livequery.polling.polls import POLL_INTERVAL_S
from bolide.server.livequery.readings import Readings
from bolide.server.livequery.routing.router import Router
from bolide.server.livequery.surroundings import Surroundings
from bolide.server.livequery.turns import Turns
from bolide.server.stores.base import ChangeBatch, Position, Query, Store
from bolide.server.stores.evaluation import Aggregation
from bolide.server.telemetry.metrics import Metrics
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
        store: Open; it is listened to until :meth:`close`.
        turn: Lets followers be told at its end.
        limits: What they may use; None is the default.
        clock: Measures the pauses between readings; None is the system's.
        metrics: Where readings are counted; None counts for itself.
        poll_interval_s: When a polled query is read at the latest, seconds after the last time.
        stopwatch: Measures the time spent on changes, seconds.

    Attributes:
        dependents: Followers whose own consequences a fence waits for.
        index_advice: What index would help which query.
    """

    def __init__(
        self,
        store: Store,
        turn: Turn,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        poll_interval_s: float = POLL_INTERVAL_S,
        stopwatch: Callable[[], float] = perf_counter,
    ) -> None:
        """Begin without a query."""
        self.dependents = Dependents()
        self._store = store
        self._router: Router[Multiplexer] = Router()
        clock = clock or SystemClock()
        self.index_advice = IndexAdvice(store, clock)
        self._surroundings = Surroundings(
            store=store,
            index_advice=self.index_advice,
            readings=Readings(limits, clock),
            router=self._router,
            turns=Turns(limits, stopwatch),
            turn=turn,
            metrics=metrics or Metrics(),
            limits=limits or Limits(),
            clock=clock,
            poll_interval_s=poll_interval_s,
        )
        self._polled = self._surroundings.polled
        self._log = structlog.get_logger("bolide.livequery")
        self._by_key: dict[Key, Multiplexer] = {}
        self._joining: dict[Multiplexer, int] = {}
        self._looking: asyncio.Task[Position] | None = None
        store.listen(self)

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Multiplexer]:
        return iter(self._by_key.values())

    def statistics(self) -> list[LiveQueryStatistics]:
        """Return what each live query costs."""
        return [multiplexer.statistics for multiplexer in self]

    async def follow(self, query: Query, follower: Follower) -> Following:
        """Follow a query; its documents were given to the follower when this returns.

        Args:
            query: Equal ones share one result.
            follower: Who is told.

        Raises:
            MinimongoError: If the query does not compile, and the store cannot evaluate it.
        """
        known = len(self._by_key)
        multiplexer = self._shared(query)
        is_new = len(self._by_key) > known
        # Nobody may close it while somebody waits for its first result.
        self._joining[multiplexer] = self._joining.get(multiplexer, 0) + 1
        try:
            try:
                await multiplexer.start()
            except Exception:
                # Nobody follows it yet, and nobody shall wait for what failed.
                self._forget(multiplexer)
                raise
            if not is_new:
                await self._be_current(multiplexer)
            multiplexer.join(follower)
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
            touched = [m for m in self._by_key.values() if collection in m.collections]
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

    def later(self, work: Callable[[], None]) -> None:
        """Do something in a later turn, in the time that live queries have in one."""
        self._surroundings.turns.later(work)

    def release(self, multiplexer: Multiplexer) -> None:
        """Close a live query that nobody follows or waits for."""
        if not multiplexer.follower_count and multiplexer not in self._joining:
            self._forget(multiplexer)
            multiplexer.close()

    def close(self) -> None:
        """End all live queries."""
        self._store.unlisten(self)
        self.index_advice.close()
        for multiplexer in self._by_key.values():
            multiplexer.close()
        self._by_key.clear()

    def hinted(self, collection: str, id: object = None) -> None:
        """Take a hint from a foreign writer: something was written to a collection.

        Nobody vouches for it, so it changes no view by itself: the polled queries on the collection
        are read again, each at most once in ``POLL_PAUSE_S`` however many hints come, and few at
        a time (``max_live_query_rereads``). A forged hint costs these readings; where nothing is
        polled it costs nothing. Queries that the feed keeps up to date know better and ignore it.

        Call it on the event loop; it does not block nor raise.

        Args:
            collection: Where; may be anything, also a collection that the feed does not tell of.
            id: ``_id`` of the document that was written, if known; may be anything.
        """
        del id  # a document that was not in a result may be in it now
        for polled in self._polled.reading(collection):
            polled.poll("hint")

    # The store's side

    def changes_received(self, batch: ChangeBatch) -> None:
        """Give each live query the changes that may affect it."""
        self._surroundings.turns.begin()
        for multiplexer, changes, last in tuple(self._router.route(batch.changes)):
            multiplexer.changes_received(changes, last.position)
        if self._polled:
            last_of = {change.collection: change.position for change in batch.changes}
            for collection, position in last_of.items():
                for polled in self._polled.reading(collection):
                    polled.joined_changed(collection, position)

    def wants_update(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        """Tell whether a live query may look at what was updated; a polled one may at all."""
        return bool(self._polled.reading(collection)) or self._router.is_affected(
            collection, id, paths
        )

    def history_lost(self, position: Position) -> None:
        """Let each live query read again."""
        self._surroundings.metrics.history_losses.inc()
        self._log.warning("history lost", live_queries=len(self._by_key))
        for multiplexer in tuple(self._by_key.values()):
            multiplexer.history_lost(position)

    # Inside

    async def _be_current(self, multiplexer: Multiplexer) -> None:
        """Let a live query that runs already show all that was committed when this began.

        Whoever wrote on another node and then came here is to see it.
        """
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        position = await asyncio.shield(self._looking)
        await self._store.feed_reached(position)
        await multiplexer.settled(position)

    async def _look(self) -> Position:
        # It begins in a turn of its own: who came before shares it, who comes later looks again.
        self._looking = None
        return await self._store.latest_position()

    def _shared(self, query: Query) -> Multiplexer:
        key = _key(query)
        multiplexer = self._by_key.get(key)
        if multiplexer is None or multiplexer.is_closed:
            multiplexer = Multiplexer(query, self._surroundings)
            self._by_key[key] = multiplexer
        return multiplexer

    def _forget(self, multiplexer: Multiplexer) -> None:
        self._router.remove(multiplexer)
        key = _key(multiplexer.query)
        if self._by_key.get(key) is multiplexer:
            del self._by_key[key]


def _key(query: Query) -> Key:
    selector: dict[str, Any] = dict(query.selector)
    projection = None if query.projection is None else key_of(dict(query.projection))
    window = (query.sort, query.skip, query.limit)
    rows: Key = None
    if isinstance(query, Aggregation):
        rows = (query.name, key_of([dict(stage) for stage in query.pipeline]))
    return (query.collection, key_of(selector), *window, projection, query.access, rows)
