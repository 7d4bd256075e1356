"""One live query: its present result, kept up to date by the feed or, if that cannot be, by polls.

The result joins the feed without a gap: changes are kept from before a reading on; after it, those
up to the snapshot's position are dropped and the others applied. What the result is made of, and
when it must be read again, is known by :mod:`~bolide.server.livequery.result`.

A *polled* query is read again after each change that may concern it, by the same way as a window
that has run dry, only not too often; after hints, which have no position; and after a while anyway.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

# Selectors are of applications.
from typing import Any, Final

from bolide.core.keys import Key
from bolide.core.minimongo.errors import MatchTimeout, MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.mongodb_only import differing_operator, mongodb_only_operator
from bolide.core.minimongo.predicates import Conjunct
from bolide.core.minimongo.regexes.regex import MATCH_TIMEOUT_S
from bolide.server.livequery.advice.shape import pipeline_shape, shape_of, sort_shape
from bolide.server.livequery.advice.statistics import LiveQueryStatistics
from bolide.server.livequery.hidden import tell_of
from bolide.server.livequery.polling.drivers import feed_driver
from bolide.server.livequery.polling.polled_result import PolledResult
from bolide.server.livequery.polling.polls import Pace
from bolide.server.livequery.result import Entry, make_result
from bolide.server.livequery.shared_view import SharedView
from bolide.server.livequery.surroundings import Surroundings
from bolide.server.livequery.turns import QueryTooExpensive
from bolide.server.logging.explained import NeedsMongoDB
from bolide.server.stores.access import effective_selector
from bolide.server.stores.base import Change, ChangeKind, Position, Query, Snapshot
from bolide.server.stores.evaluation import Aggregation, CollectionKind, Evaluator
from bolide.server.stores.pipelines import WrongPipeline, past_scopes
from bolide.server.stores.slowness import QueryTooSlow

__all__ = ["MAX_KEPT_CHANGES", "Multiplexer"]

MAX_KEPT_CHANGES: Final = 10_000
"""Most changes kept for one live query until they can be taken; beyond, it is read again."""


class Multiplexer(SharedView):
    """A query that is kept up to date for all its followers.

    Args:
        query: What to follow.
        surroundings: What it shares with other live queries.

    Attributes:
        number: Its own among all live queries of the node.
        driver: How it is kept up to date, see
            :class:`~bolide.server.livequery.advice.statistics.LiveQueryStatistics`.
        reason: Why it is kept in this way.
        reread_count: How often it was read again.
        changes_seen: Changes it was asked about.
        reading_s: Time that its readings took, waiting for the store included, seconds.
        collections: Names of the collections that it reads.

    Raises:
        MinimongoError: If the selector, the sort or the projection does not compile, or ``_id``
            is hidden.
        NeedsMongoDB: If it is an aggregation, and the store cannot evaluate it.
    """

    def __init__(self, query: Query, surroundings: Surroundings) -> None:
        """Compile the query and listen to the router; nothing is read yet."""
        super().__init__(query, surroundings.turn, surroundings.metrics)
        self.number = next(surroundings.numbers)
        self.reread_count = 0
        self.reading_s = 0.0
        self.changes_seen = 0
        self.collections: frozenset[str] = frozenset({query.collection})
        self._surroundings = surroundings
        self._turns = self._surroundings.turns
        self._account = self._turns.open_account()
        self._pace: Pace | None = None
        # Changes of all that it reads are told.
        self._is_told = True
        # How often somebody asked for a reading who knows no position, and was given it.
        self._asks = self._answered = 0
        self._position: Position | None = None
        self._read_at: Position | None = None
        # Changes of one batch each, with the position of the last in the batch.
        self._early: deque[tuple[Sequence[Change], Position]] = deque()
        self._kept = 0
        self._starting: asyncio.Task[None] | None = None
        self._stale_since: Position | None = None
        self._stale_because = ""
        self._reread_because = ""
        self._rereading: asyncio.Task[None] | None = None
        self._late: asyncio.Event | None = None
        store = surroundings.store
        self._evaluator = store if isinstance(store, Evaluator) else None
        self._choose_driver()

    @property
    def is_polled(self) -> bool:
        """It is not the feed that keeps it up to date."""
        return self._pace is not None

    @property
    def cost_s(self) -> float:
        """All time spent on it, matching and reading, seconds."""
        return self._account.seconds + self.reading_s

    @property
    def state(self) -> str:
        """``live``, or why followers have to wait, in words."""
        if self._is_closed:
            return "ended"
        if self._position is None:
            return "read first"
        if self._rereading is not None:
            return f"read again: {self._stale_because or self._reread_because}"
        return "live" if self._late is None else "no time for all changes in one turn"

    @property
    def statistics(self) -> LiveQueryStatistics:
        """What it costs, without any value."""
        return LiveQueryStatistics(
            number=self.number,
            collection=self.query.collection,
            selector=self._shape,
            sort=sort_shape(self.query.sort),
            has_skip=self.query.skip > 0,
            has_limit=self.query.limit > 0,
            is_polled=self.is_polled,
            driver=self.driver,
            reason=self.reason,
            state=self.state,
            followers=self.follower_count,
            in_step=self.in_step_count,
            documents_published=len(self._entries),
            documents_held=self._result.held_count,
            changes_seen=self.changes_seen,
            changes_told=self.changes_told,
            changes_waiting=self._kept,
            rereads=self.reread_count,
            reread_because=self._reread_because,
            matching_s=self._account.seconds,
            reading_s=self.reading_s,
            advice=""
            if self.is_polled
            else str(self._surroundings.index_advice.on(self.query) or ""),
        )

    async def start(self) -> None:
        """Read the first result, once for all that wait for it."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    def close(self) -> None:
        """End all work on it."""
        self._is_closed = True
        self._leave_surroundings()
        for task in (self._starting, self._rereading):
            if task is not None and not task.done():
                task.cancel()

    def changes_received(self, changes: Sequence[Change], position: Position | None = None) -> None:
        """Take changes that may affect it, all of one batch.

        Args:
            changes: In order; every change of the collection while it takes all.
            position: Of the last change of its collection in the batch; None: the last given.
        """
        if position is None:
            position = changes[-1].position
        if not self._must_wait:
            self._take(changes, position)
            return
        self._early.append((changes, position))
        self._kept += len(changes)
        if self._kept > MAX_KEPT_CHANGES:
            self._let_go(position)

    def history_lost(self, position: Position) -> None:
        """Read again, because changes before ``position`` were missed."""
        self._outdate(position, "history lost")

    def joined_changed(self, collection: str, position: Position) -> None:
        """Read again, because a collection that is read beside its own has changed."""
        if collection != self.query.collection:
            self._outdate(position, "change")

    def poll(self, because: str) -> None:
        """Read again, soon."""
        if self._position is None:
            self._asks += 1
        else:
            self._reread(None, because)

    async def settled(self, position: Position | None = None) -> None:
        """Wait until the changes received were given to the followers.

        Args:
            position: Up to where; None is up to the end, which a query that is read again, or late,
                and that others change all the time does not come to.
        """
        if self._starting is not None and not self._starting.done():
            await asyncio.wait([self._starting])
        if position is not None and not self._is_told and not self._was_read_at(position):
            # Nobody will tell of it.
            self._outdate(position, "write")
        while not self._is_closed:
            if self._rereading is not None:
                await asyncio.wait([self._rereading])
                if position is not None and self._was_read_at(position):
                    return
            elif self._late is not None and not self._has_told(position):
                await self._late.wait()
            else:
                return

    # Its driver

    def _choose_driver(self) -> None:
        """Let the feed keep it up to date if it can, and changes find it."""
        query = self.query
        if isinstance(query, Aggregation):
            if self._evaluator is None:
                raise NeedsMongoDB(f"app.live_aggregate on {query.collection}")
            self.collections |= query.joined
            self._be_polled("aggregation")
            return
        selector = effective_selector(query)
        try:
            matcher = Matcher(selector)
        except MinimongoError:
            if self._evaluator is None:
                raise
            self._be_polled(mongodb_only_operator(selector) or "only MongoDB evaluates it")
            return
        if self._evaluator is not None and (operator := differing_operator(selector)):
            self._be_polled(operator)
            return
        self._result, why = make_result(query, matcher)
        conjunct = self._be_routed(selector, leaves_matter=self._result.is_requeried)
        self.driver, self.reason = feed_driver(self._result, why, conjunct)

    def _be_polled(self, because: str, entries: Mapping[Key, Entry] | None = None) -> None:
        """Be read again instead of matched, because the feed or minimongo cannot.

        Args:
            because: Why, in a word.
            entries: What the followers know, if it was followed by the feed until now.
        """
        surroundings, query = self._surroundings, self.query
        joins_itself = isinstance(query, Aggregation) and query.collection in query.joined
        result = PolledResult(query, surroundings.limits.max_aggregate_rows, sees_all=joins_itself)
        result.entries.update(entries or {})
        self._result = result
        surroundings.router.remove(self)
        self._be_routed(result.relevant, leaves_matter=True)
        for key in result.entries:
            surroundings.router.hold(self, key)
        self._pace = Pace(
            surroundings.clock, surroundings.poll_interval_s, lambda: self.poll("interval")
        )
        surroundings.polled.add(self, self.collections)
        self.driver, self.reason = "polled", because

    def _be_routed(self, selector: Mapping[str, Any], *, leaves_matter: bool) -> Conjunct | None:
        router = self._surroundings.router
        conjunct = router.add(
            self,
            self.query.collection,
            selector,
            leaves_matter=leaves_matter,
            interest=self._result.interest,
        )
        if self._position is None:
            router.take_all(self)
        self._result.be_routed(router, self)
        return conjunct

    async def _look_at_origins(self, evaluator: Evaluator) -> None:
        """Find out of which changes the feed tells; a collection may have become another."""
        query, polled = self.query, self._surroundings.polled
        joined = query.joined if isinstance(query, Aggregation) else frozenset[str]()
        own = await evaluator.origin(query.collection)
        others = [await evaluator.origin(name) for name in sorted(joined)]
        if isinstance(query, Aggregation):
            for name, other in zip(sorted(joined), others, strict=True):
                if problem := past_scopes(name, other.reads, query.scoped):
                    raise WrongPipeline(query.collection, f"it {problem}")
        if self._pace is None and own.kind is not CollectionKind.COLLECTION:
            self._be_polled(own.kind.value, self._entries)
        if self._pace is not None:
            reads = {query.collection, *joined}.union(*(one.reads for one in (own, *others)))
            polled.remove(self, self.collections - reads)
            polled.add(self, reads)
            self.collections = frozenset(reads)
            self._is_told = all(one.is_told for one in (own, *others))

    # Inside

    @property
    def _shape(self) -> str:
        query = self.query
        if isinstance(query, Aggregation):
            return pipeline_shape(query.pipeline)
        return shape_of(effective_selector(query))

    @property
    def _is_asked(self) -> bool:
        """Somebody wants a reading that begins after this, or the first one."""
        return self._asks > self._answered or self._stale_since is None

    def _was_read_at(self, position: Position) -> bool:
        """Tell whether the last reading has everything up to a position."""
        return self._read_at is not None and position <= self._read_at

    def _has_told(self, position: Position | None) -> bool:
        """Tell whether the followers know everything up to a position; while nothing is read."""
        told = self._position
        return position is not None and told is not None and position <= told

    @property
    def _entries(self) -> Mapping[Key, Entry]:
        """The documents as the followers know them."""
        return self._result.entries

    @property
    def _must_wait(self) -> bool:
        """Changes are to be kept: a reading is under way, or there was no time for earlier ones."""
        if self._position is None or self._late is not None:
            return True
        return self._rereading is not None and not self._result.is_requeried

    async def _start(self) -> None:
        began = self._turns.now()
        snapshot = await self._surroundings.readings.first(self._read)
        self.reading_s += self._turns.now() - began
        self._result.load(snapshot.documents)
        self._result.flush()
        self._tell_of_hidden()
        if not self.is_polled:
            self._surroundings.index_advice.consider(self.query, len(snapshot.documents))
        self._position = self._read_at = snapshot.position
        lost, self._stale_since = self._stale_since, None
        if lost is not None and not lost <= snapshot.position:
            self._reread(lost, self._stale_because)
        elif self._asks > self._answered:
            self._reread(None, "hint")
        self._take_kept()

    def _take_kept(self) -> None:
        """Take the changes that were kept, as far as they can be taken now."""
        while self._early and not self._must_wait:
            changes, position = self._early.popleft()
            self._kept -= len(changes)
            self._take(changes, position)
        if not self._must_wait:
            self._surroundings.router.take_some(self)

    def _take(self, changes: Sequence[Change], position: Position) -> None:
        before = self._position
        assert before is not None
        new = [change for change in changes if not change.position <= before]
        if not new or self._is_closed:
            return
        try:
            self._apply(new, position)
        except MatchTimeout:
            self._end(QueryTooExpensive())
        except Exception as error:  # a document without a place in the order, for example
            self._end(error)

    def _apply(self, changes: Sequence[Change], position: Position) -> None:
        """Apply as many changes as there is time for, and tell of them when it was all."""
        turns, result = self._turns, self._result
        now = started = turns.now()
        number, stale_because = 0, ""
        if turns.has_time(now):
            with turns.time_limit:
                for number, change in enumerate(changes, 1):  # noqa: B007 - used after the loop
                    turns.match_deadline = now + MATCH_TIMEOUT_S
                    if change.kind is ChangeKind.COLLECTION_LOST:
                        stale_because = "collection lost"
                    elif not result.take(change):
                        stale_because = result.stale_because
                    now = turns.now()
                    if stale_because or now >= turns.deadline:
                        break
        self.changes_seen += number
        self._account.charge(now - started, number)
        if stale_because:
            # The rest of the batch is in what will be read.
            self._position = position
            self._reread(position, stale_because)
        elif number < len(changes):
            self._be_late(changes[number:], position)
        else:
            self._position = changes[-1].position
            self._publish()

    def _publish(self) -> None:
        self._tell(self._result.flush())
        self._tell_of_hidden()

    def _tell_of_hidden(self) -> None:
        if news := self._result.hidden.take_news():
            tell_of(news, self.query.published_in, self._surroundings.metrics)

    def _let_go(self, position: Position) -> None:
        """Keep no changes up to a position, because they are too many; read them instead."""
        self._early.clear()
        self._kept = 0
        self._outdate(position, "too many changes")

    def _outdate(self, position: Position, because: str) -> None:
        """Be read at or after a position; a first reading that is under way may lie before it."""
        if self._position is None:
            self._stale_since, self._stale_because = position, because
        elif not self._is_closed:
            self._reread(position, because)

    def _be_late(self, changes: Sequence[Change], position: Position) -> None:
        """Go on with these changes in a later turn."""
        self._early.appendleft((changes, position))
        self._kept += len(changes)
        self._surroundings.router.take_all(self)
        if self._late is None:
            self._late = asyncio.Event()
        self._turns.later(self._go_on)

    def _go_on(self) -> None:
        self._be_in_time()
        self._take_kept()

    def _be_in_time(self) -> None:
        late, self._late = self._late, None
        if late is not None:
            late.set()

    def _reread(self, position: Position | None, because: str) -> None:
        """Read the whole result again, at or after a position; soon and once."""
        if position is None:
            self._asks += 1
            self._stale_because = because
        elif self._stale_since is None or self._stale_since <= position:
            self._stale_since = position
            self._stale_because = because
        if self._rereading is None:
            if not self._result.is_requeried:
                self._surroundings.router.take_all(self)
            self._rereading = asyncio.create_task(self._read_again())

    async def _read_again(self) -> None:
        surroundings = self._surroundings
        try:
            if self._pace is not None:
                await self._pace.wait()
            began = self._turns.now()
            readings = surroundings.readings
            read = readings.read if self._pace is None else readings.poll
            snapshot = await read(self.query.collection, self._read)
            self.reading_s += self._turns.now() - began
            self.reread_count += 1
            self._reread_because = self._stale_because
            metrics = surroundings.metrics
            counter = metrics.polls if self.is_polled else metrics.live_query_rereads
            counter.labels(self._stale_because).inc()
            self._replace(snapshot)
        except Exception as error:
            self._end(error)
        finally:
            self._rereading = None
        if self._is_closed:
            return
        if self._asks > self._answered or self._stale_since is not None:
            self._reread(self._stale_since, self._stale_because)
        else:
            self._take_kept()

    async def _read(self) -> Snapshot:
        """Read the result once, in the way that its driver reads."""
        evaluator, asks = self._evaluator, self._asks
        if evaluator is not None:
            await self._look_at_origins(evaluator)
        try:
            if evaluator is None or self._pace is None:
                store = self._surroundings.store
                return await store.read(self._result.reading, after=self._stale_since)
            self._pace.begin()
            after = None if self._is_asked else self._stale_since
            snapshot = await evaluator.evaluate(self._result.reading, after=after)
        except QueryTooSlow as error:
            raise QueryTooExpensive from error
        # Who asked since then wants another reading.
        self._answered = asks
        return snapshot

    def _replace(self, snapshot: Snapshot) -> None:
        """Take a newer result and tell the difference."""
        assert self._position is not None
        self._position = max(self._position, snapshot.position)
        if self._stale_since is not None and self._stale_since <= snapshot.position:
            self._stale_since = None
        self._read_at = snapshot.position
        self._result.load(snapshot.documents)
        self._publish()

    def _end(self, error: Exception) -> None:
        """Stop following, because of an error."""
        self._leave_surroundings()
        self._fail(error)

    def _leave_surroundings(self) -> None:
        self._surroundings.router.remove(self)
        self._surroundings.polled.remove(self, self.collections)
        if self._pace is not None:
            self._pace.stop()
        self._be_in_time()
