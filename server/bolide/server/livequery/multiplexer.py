"""One live query: its present result, and who follows it.

The result joins the feed without a gap: changes are kept from before a reading on; after it, those
up to the snapshot's position are dropped and the others applied. What the result is made of, and
when it must be read again, is known by :mod:`~bolide.server.livequery.result`.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from bolide.core.ddp.digests import document_digest, view_digest
from bolide.core.ddp.ids import id_stringify
from bolide.core.errors import StateError
from bolide.core.keys import Key
from bolide.core.minimongo.errors import MatchTimeout
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.predicates import Conjunct, Range
from bolide.core.minimongo.regex import MATCH_TIMEOUT_S
from bolide.core.values import Fields
from bolide.server.livequery.followers import Follower, Followers
from bolide.server.livequery.readings import Readings
from bolide.server.livequery.result import Entry, QueryResult, make_result
from bolide.server.livequery.router import Router
from bolide.server.livequery.shape import path_shape, shape_of, sort_shape
from bolide.server.livequery.statistics import LiveQueryStatistics
from bolide.server.livequery.turns import QueryTooExpensive, Turns
from bolide.server.metrics import Metrics
from bolide.server.sessions.view.source import Gate, Source
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.stores.access import effective_selector
from bolide.server.stores.base import Change, ChangeKind, Position, Query, Snapshot, Store
from bolide.server.turn import Turn

__all__ = ["MAX_KEPT_CHANGES", "Multiplexer", "Surroundings"]

MAX_KEPT_CHANGES: Final = 10_000
"""Most changes kept for one live query until they can be taken; beyond, it is read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all live queries of a node share.

    Attributes:
        store: Where they are read first.
        readings: Where they are read again.
        router: Which changes each is given.
        turns: The time they may take.
        turn: Lets them tell their followers at its end.
        metrics: What they count.
        numbers: By which they are told apart.
    """

    store: Store
    readings: Readings
    router: "Router[Multiplexer]"
    turns: Turns
    turn: Turn
    metrics: Metrics
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @classmethod
    def around(cls, store: Store) -> "Surroundings":
        """Make those of a store, with the default limits and the system's clock."""
        return cls(
            store=store,
            readings=Readings(store),
            router=Router(),
            turns=Turns(),
            turn=Turn(),
            metrics=Metrics(),
        )


class Multiplexer:
    """A query that is kept up to date for all its followers.

    It is the view that sessions share; they look at it after :meth:`catch_up`, or at the end of a
    turn, when all followers were told of all changes.

    Args:
        query: What to follow.
        surroundings: What it shares with other live queries.

    Attributes:
        query: What is followed.
        number: Its own among all live queries of the node.
        driver: How it is kept up to date, see
            :class:`~bolide.server.livequery.statistics.LiveQueryStatistics`.
        reason: Why it is kept in this way.
        reread_count: How often it was read again.
        changes_seen: Changes it was asked about.
        reading_s: Time that its readings took, waiting for the store included, seconds.
        changes_told: Documents that entered, changed or left.

    Raises:
        MinimongoError: If the selector, the sort or the projection does not compile, or ``_id``
            is hidden.
    """

    def __init__(self, query: Query, surroundings: Surroundings) -> None:
        """Compile the query and listen to the router; nothing is read yet."""
        self.query = query
        self.number = next(surroundings.numbers)
        self.reread_count = 0
        self.reading_s = 0.0
        self.changes_seen = 0
        self.changes_told = 0
        self._surroundings = surroundings
        self._turns = self._surroundings.turns
        self._account = self._turns.open_account()
        selector = effective_selector(query)
        self._result, why = make_result(query, Matcher(selector))
        self._position: Position | None = None
        self._read_at: Position | None = None
        # Changes of one batch each, with the position of the last in the batch.
        self._early: deque[tuple[Sequence[Change], Position]] = deque()
        self._kept = 0
        self._followers = Followers(surroundings.metrics.messages_sent.inc)
        self._untold: list[ViewChange] = []
        self._digest: bytes | None = None
        self._starting: asyncio.Task[None] | None = None
        self._stale_since: Position | None = None
        self._stale_because = ""
        self._reread_because = ""
        self._rereading: asyncio.Task[None] | None = None
        self._late: asyncio.Event | None = None
        self._is_closed = False
        router = self._surroundings.router
        conjunct = router.add(
            self,
            query.collection,
            selector,
            leaves_matter=self._result.is_requeried,
            interest=self._result.interest,
        )
        router.take_all(self)
        self._result.be_routed(router, self)
        self.driver, self.reason = _described(self._result, why, conjunct)

    @property
    def is_closed(self) -> bool:
        """It failed or was left by all; nobody can join any more."""
        return self._is_closed

    @property
    def follower_count(self) -> int:
        """How many follow it."""
        return len(self._followers)

    @property
    def in_step_count(self) -> int:
        """How many of them get shared packets straight to their sockets."""
        return self._followers.in_step_count

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
            selector=shape_of(effective_selector(self.query)),
            sort=sort_shape(self.query.sort),
            has_skip=self.query.skip > 0,
            has_limit=self.query.limit > 0,
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
        )

    async def start(self) -> None:
        """Read the first result, once for all that wait for it."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    def join(self, follower: Follower) -> None:
        """Give a follower the present result, then every change; call it after :meth:`start`."""
        if self._is_closed:
            raise StateError("The live query ended while it was joined.")
        self.catch_up()
        self._followers.add(follower)
        follower.view_joined(self)

    def leave(self, follower: Follower) -> None:
        """Tell a follower nothing more; harmless if it left before."""
        self._followers.discard(follower)

    # The view that sessions share

    def fields(self, key: Key) -> Fields | None:
        """Return the fields of a document, None if it is not in the result."""
        entry = self._entries.get(key)
        return None if entry is None else entry.fields

    def documents(self) -> Iterable[tuple[Key, Any, Fields]]:
        """Go through the result: key, ``_id``, fields."""
        return ((key, entry.id, entry.fields) for key, entry in self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)

    def initial(self) -> Sequence[ViewChange]:
        """Return every document as added; shared by all who join."""
        initial: list[ViewChange] = []
        for entry in self._entries.values():
            if entry.added is None:
                entry.added = ViewChange.added(self.query.collection, entry.id, entry.fields)
            initial.append(entry.added)
        return initial

    def catch_up(self) -> None:
        """Tell all followers now what they would be told at the end of the turn."""
        if self._untold:
            changes, self._untold = self._untold, []
            self._followers.tell(changes)

    def step_in(self, source: Source, gate: Gate) -> None:
        """Send shared packets through the gate while it is open, instead of telling the source."""
        self._followers.step_in(source, gate)

    def step_out(self, source: Source) -> None:
        """Tell the source of every change again; harmless if it was told all along."""
        self._followers.step_out(source)

    def document_digest(self, key: Key) -> bytes:
        """Return the digest of a document in the result, 16 bytes."""
        entry = self._entries[key]
        if entry.digest is None:
            entry.digest = document_digest(entry.fields)
        return entry.digest

    def digesting(self) -> Iterator[None]:
        """Make the digests of documents that have none; may be stopped after each."""
        for key in () if self._digest is not None else tuple(self._entries):
            entry = self._entries.get(key)
            if entry is not None and entry.digest is None:
                entry.digest = document_digest(entry.fields)
                yield

    def digest(self) -> bytes:
        """Return the digest of the whole result, 16 bytes."""
        if self._digest is None:
            self._digest = view_digest(
                {id_stringify(e.id): self.document_digest(key) for key, e in self._entries.items()}
            )
        return self._digest

    # Its life

    def close(self) -> None:
        """End all work on it."""
        self._is_closed = True
        self._surroundings.router.remove(self)
        self._be_in_time()
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
        if self._position is None:
            # The first reading may lie before the gap.
            self._stale_since, self._stale_because = position, "history lost"
        elif not self._is_closed:
            self._reread(position, "history lost")

    async def settled(self, position: Position | None = None) -> None:
        """Wait until the changes received were given to the followers.

        Args:
            position: Up to where; None is up to the end, which a query that is read again, or late,
                and that others change all the time does not come to.
        """
        if self._starting is not None and not self._starting.done():
            await asyncio.wait([self._starting])
        while not self._is_closed:
            if self._rereading is not None:
                await asyncio.wait([self._rereading])
                if position is not None and self._read_at is not None and position <= self._read_at:
                    return
            elif self._late is not None and not self._has_told(position):
                await self._late.wait()
            else:
                return

    # Inside

    def _has_told(self, position: Position | None) -> bool:
        """Tell whether the followers know everything up to a position; while nothing is read."""
        told = self._position
        return position is not None and told is not None and position <= told

    @property
    def _entries(self) -> dict[Key, Entry]:
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
        snapshot = await self._surroundings.store.read(
            self._result.reading, after=self._stale_since
        )
        self.reading_s += self._turns.now() - began
        self._result.load(snapshot.documents)
        self._result.flush()
        self._position = snapshot.position
        lost, self._stale_since = self._stale_since, None
        if lost is not None and not lost <= snapshot.position:
            self._reread(lost, self._stale_because)
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
                        stale_because = "re-query" if result.is_requeried else "window"
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
        told = self._result.flush()
        if told:
            self.changes_told += len(told)
            self._tell(told)

    def _let_go(self, position: Position) -> None:
        """Keep no changes up to a position, because they are too many; read them instead."""
        self._early.clear()
        self._kept = 0
        if self._position is None:
            self._stale_since, self._stale_because = position, "too many changes"
        else:
            self._reread(position, "too many changes")

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

    def _reread(self, position: Position, because: str) -> None:
        """Read the whole result again, at or after a position; soon and once."""
        if self._stale_since is None or self._stale_since <= position:
            self._stale_since = position
            self._stale_because = because
        if self._rereading is None:
            if not self._result.is_requeried:
                self._surroundings.router.take_all(self)
            self._rereading = asyncio.create_task(self._read_again())

    async def _read_again(self) -> None:
        began = self._turns.now()
        try:
            snapshot = await self._surroundings.readings.read(
                self._result.reading, lambda: self._stale_since
            )
            self.reading_s += self._turns.now() - began
            self.reread_count += 1
            self._reread_because = self._stale_because
            self._surroundings.metrics.live_query_rereads.labels(self._stale_because).inc()
            self._replace(snapshot)
        except Exception as error:
            self._end(error)
        finally:
            self._rereading = None
        if self._is_closed:
            return
        if self._stale_since is not None:
            self._reread(self._stale_since, self._stale_because)
        else:
            self._take_kept()

    def _replace(self, snapshot: Snapshot) -> None:
        """Take a newer result and tell the difference."""
        assert self._position is not None
        assert self._stale_since is not None
        self._position = max(self._position, snapshot.position)
        if self._stale_since <= snapshot.position:
            self._stale_since = None
        self._read_at = snapshot.position
        self._result.load(snapshot.documents)
        self._publish()

    def _end(self, error: Exception) -> None:
        """Stop following, because of an error."""
        self._surroundings.router.remove(self)
        self._be_in_time()
        self._fail(error)

    def _tell(self, changes: Sequence[ViewChange]) -> None:
        if changes:
            self._digest = None
            self._untold.extend(changes)
            self._surroundings.turn.deliver_later(self.catch_up)

    def _fail(self, error: Exception) -> None:
        self._is_closed = True
        self.catch_up()
        self._followers.fail(error)


def _described(result: QueryResult, why: str, conjunct: Conjunct | None) -> tuple[str, str]:
    """Return driver and reason in words."""
    if conjunct is None:
        found_by, because = "scan", "no equality and no range that could be indexed"
    else:
        has_range = any(isinstance(predicate, Range) for predicate in conjunct)
        paths = dict.fromkeys(path_shape(predicate.path) for predicate in conjunct)
        found_by = f"index {'range' if has_range else 'eq'} {' '.join(paths)}".rstrip()
        because = "no equality, but a range" if has_range else "asks for values of a field"
    if not why:
        return found_by, because
    return "re-query" if result.is_requeried else "window", f"{why}; changes found by {found_by}"
