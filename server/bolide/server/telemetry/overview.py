"""An overview of a node: what its sessions and live queries do and cost, for ``bolide top``.

It holds names that the application registered, shapes, counts and times. No value of a selector,
no document, id of one, argument, user or header is in it, so that an operator may send it to
somebody who is not to see patient data.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from heapq import nlargest
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any, Final, TypeVar

from bolide.server.broadcast.state import BroadcastState
from bolide.server.jobs.statistics import JobStatistics
from bolide.server.livequery.advice.statistics import LiveQueryStatistics
from bolide.server.livequery.multiplexer import Multiplexer
from bolide.server.node import Node
from bolide.server.redis.state import RedisState
from bolide.server.sessions.driver import SessionDriver
from bolide.server.sessions.events import Subscription
from bolide.server.sessions.runs.subscription_run import SubscriptionRun
from bolide.server.stores.base import HeldInMemory
from bolide.server.stores.feed_health import HasFeedHealth

__all__ = [
    "DEFAULT_ROWS",
    "MAX_PUBLICATIONS",
    "MAX_ROWS",
    "LiveQueryTotals",
    "NodeState",
    "Overview",
    "PublicationCount",
    "SessionRow",
    "SessionTotals",
    "take_overview",
]

DEFAULT_ROWS: Final = 100
"""Sessions, and live queries, in one overview if nobody says how many."""
MAX_ROWS: Final = 1_000
"""Most sessions, and most live queries, in one overview."""
MAX_PUBLICATIONS: Final = 20
"""Most different publications, or states of one, told of one session."""

_PER_TURN: Final = 250
"""Sessions or live queries looked at in one turn of the event loop: a few milliseconds."""

_SHOWN_OF_ID: Final = 6
"""Characters of a session's id: enough to find it in the log, too few to be the id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """How the process is.

    Attributes:
        build: What clients are told of the build.
        version: Of Bolide.
        pid: Number of the process.
        uptime_s: Time since it began to start, seconds.
        state: ``ready``, ``draining`` or ``stopping``.
        store: Its kind, such as ``sqlite``.
        store_bytes: Documents that an embedded store holds in memory, bytes of BSON.
        store_max_bytes: Most that it may hold.
        feed_lag_s: How far live queries are behind the database, seconds; None: it is in here.
        feed_waits_because: Why nothing comes from the database, in words; empty if all is well.
        feed_waits_s: How long it has not, seconds.
        feed_losses: How often changes were missed.
    """

    build: str
    version: str
    pid: int
    uptime_s: float
    state: str
    store: str
    store_bytes: int | None
    store_max_bytes: int
    feed_lag_s: float | None = None
    feed_waits_because: str = ""
    feed_waits_s: float = 0.0
    feed_losses: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationCount:
    """Subscriptions of one session to one publication, in one state.

    Attributes:
        name: As it was registered; ``(universal)`` has none, ``(unknown)`` is not registered.
        state: ``starting``, ``ready``, or ``running again`` after a decision changed.
        count: How many.
    """

    name: str
    state: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One session.

    Attributes:
        id: Its first characters.
        address: The peer's address, None if unknown or no IP address.
        is_logged_in: Somebody is; not who.
        age_s: Time since its socket was accepted, seconds.
        speaks_bolide: It negotiated our extensions.
        subscriptions: How many are active.
        publications: What they are to, the most frequent first, at most MAX_PUBLICATIONS.
        documents: How many the client is to see.
        waiting_documents: How many of them changed and were not sent yet.
        waiting_bytes: Messages that were not sent yet, bytes.
        socket_bytes: What was sent and not taken by the peer's system yet, bytes.
        is_full: The socket takes nothing now.
        messages_received: Since it began.
        queued_messages: Messages of the peer that wait for those before them.
        methods_in_flight: Calls begun and not ``updated`` yet.
    """

    id: str
    address: str | None
    is_logged_in: bool
    age_s: float
    speaks_bolide: bool
    subscriptions: int
    publications: tuple[PublicationCount, ...]
    documents: int
    waiting_documents: int
    waiting_bytes: int
    socket_bytes: int
    is_full: bool
    messages_received: int
    queued_messages: int
    methods_in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTotals:
    """All sessions together; the attributes are those of :class:`SessionRow`, added up."""

    count: int
    full: int
    subscriptions: int
    documents: int
    waiting_documents: int
    waiting_bytes: int
    messages_received: int
    methods_in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveQueryTotals:
    """All live queries together, as far as they still are.

    Attributes:
        count: How many.
        polled: Those that the feed does not keep up to date.
        waiting: Those that are not ``live``.
        followers: Subscriptions that follow them.
        in_step: How many of these get shared packets.
        documents_published: Documents in all results.
        changes_seen: Changes they were asked about.
        changes_told: Documents that entered, changed or left a result.
        rereads: How often they were read again.
        cost_s: Time spent on them, seconds.
    """

    count: int
    polled: int
    waiting: int
    followers: int
    in_step: int
    documents_published: int
    changes_seen: int
    changes_told: int
    rereads: int
    cost_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A node at one moment.

    Attributes:
        node: The process.
        sessions: All sessions together.
        session_rows: Those that wait for most, then those that hold most, come first.
        live_queries: All live queries together.
        live_query_rows: Those that cost most come first.
        jobs: All scheduled jobs, as the node saw them in the store last.
        redis: How it gets on with Redis; None without one.
        broadcast: How its channels and its presence are; None if the app has neither.
    """

    node: NodeState
    sessions: SessionTotals
    session_rows: tuple[SessionRow, ...]
    live_queries: LiveQueryTotals
    live_query_rows: tuple[LiveQueryStatistics, ...]
    jobs: tuple[JobStatistics, ...]
    redis: RedisState | None = None
    broadcast: BroadcastState | None = None


_Item = TypeVar("_Item")
_Row = TypeVar("_Row")
_Totals = TypeVar("_Totals", SessionTotals, LiveQueryTotals)


async def take_overview(node: Node, rows: int = DEFAULT_ROWS) -> Overview:
    """Look at a node that runs.

    All sessions and live queries are looked at, some in each turn of the event loop: 10,000 of
    each would hold up everything else for a fifth of a second (measured 2026-11-26). So it is not
    quite one moment; whoever came or went meanwhile may be counted or not.

    Args:
        node: Which one.
        rows: Most sessions, and most live queries, that are told.

    Raises:
        StateError: If it does not run.
    """
    live_queries = tuple(node.services.live_queries)
    sessions, session_rows = await _look_at(
        tuple(node.sessions), rows, _session_totals, _session_cost, _session_row
    )
    all_queries, query_rows = await _look_at(
        live_queries, rows, _live_query_totals, lambda one: one.cost_s, lambda one: one.statistics
    )
    return Overview(
        node=_node_state(node),
        sessions=sessions,
        session_rows=session_rows,
        live_queries=all_queries,
        live_query_rows=query_rows,
        jobs=node.jobs,
        redis=node.redis.state if node.redis else None,
        broadcast=node.broadcast_state,
    )


async def _look_at(
    items: Sequence[_Item],
    rows: int,
    total: Callable[[Sequence[_Item]], _Totals],
    cost: Callable[[_Item], Any],  # numbers, or tuples of them
    row: Callable[[_Item], _Row],
) -> tuple[_Totals, tuple[_Row, ...]]:
    """Return the totals of all items, and the rows of those that cost most."""
    totals = total(())
    dearest: list[tuple[Any, int, _Item]] = []
    for start in range(0, len(items), _PER_TURN):
        part = items[start : start + _PER_TURN]
        totals = _added(totals, total(part))
        for place, item in enumerate(part, start):
            dearest.append((cost(item), place, item))
        dearest = nlargest(rows, dearest)
        await asyncio.sleep(0)
    told: list[_Row] = []
    for start in range(0, len(dearest), _PER_TURN):
        told.extend(row(item) for _, _, item in dearest[start : start + _PER_TURN])
        await asyncio.sleep(0)
    return totals, tuple(told)


def _added(one: _Totals, other: _Totals) -> _Totals:
    return type(one)(
        **{each.name: getattr(one, each.name) + getattr(other, each.name) for each in fields(one)}
    )


def _node_state(node: Node) -> NodeState:
    store = node.store
    running = "draining" if node.is_draining else "stopping"
    health = store.feed_health if isinstance(store, HasFeedHealth) else None
    return NodeState(
        build=node.build_id,
        version=version("bolide"),
        pid=os.getpid(),
        uptime_s=node.uptime_s,
        state="ready" if node.is_ready else running,
        store=type(store).__name__.removesuffix("Store").lower(),
        store_bytes=store.document_bytes if isinstance(store, HeldInMemory) else None,
        store_max_bytes=node.limits.store_max_bytes,
        feed_lag_s=None if health is None else health.lag_s,
        feed_waits_because="" if health is None else health.waits_because,
        feed_waits_s=0.0 if health is None else health.waits_s,
        feed_losses=0 if health is None else health.losses.total(),
    )


def _session_cost(driver: SessionDriver) -> tuple[int, int, int, int]:
    session = driver.session
    waiting = session.waiting_bytes + driver.socket_bytes
    return session.is_full, waiting, session.waiting_documents, session.document_count


def _session_row(driver: SessionDriver) -> SessionRow:
    session = driver.session
    return SessionRow(
        id=session.id[:_SHOWN_OF_ID],
        address=_address(driver.info.client_address),
        is_logged_in=driver.user_id is not None,
        age_s=driver.services.clock.now() - driver.accepted_at,
        speaks_bolide=session.speaks_bolide,
        subscriptions=len(session.subscriptions),
        publications=_publications(driver),
        documents=session.document_count,
        waiting_documents=session.waiting_documents,
        waiting_bytes=session.waiting_bytes,
        socket_bytes=driver.socket_bytes,
        is_full=session.is_full,
        messages_received=session.messages_received,
        queued_messages=session.queued_messages,
        methods_in_flight=session.methods_in_flight,
    )


def _address(text: str | None) -> str | None:
    """Return an address, if it is one: a server that believes proxies passes on any header."""
    try:
        # A zone, after the percent sign, could be any text too.
        return str(ip_address((text or "").partition("%")[0]))
    except ValueError:
        return None


def _publications(driver: SessionDriver) -> tuple[PublicationCount, ...]:
    counted = Counter(
        (_publication_name(driver.runs.get(subscription)), _state(subscription))
        for subscription in driver.session.subscriptions.running()
    ).most_common(MAX_PUBLICATIONS)
    return tuple(
        PublicationCount(name=name, state=state, count=count) for (name, state), count in counted
    )


def _publication_name(run: SubscriptionRun | None) -> str:
    """Return a name that the application made up; one of the client's could be anything."""
    return "(unknown)" if run is None else run.name


def _state(subscription: Subscription) -> str:
    if subscription.former is not None:
        return "running again"
    return "ready" if subscription.is_ready or subscription.is_universal else "starting"


def _session_totals(drivers: Sequence[SessionDriver]) -> SessionTotals:
    sessions = [driver.session for driver in drivers]
    return SessionTotals(
        count=len(sessions),
        full=sum(session.is_full for session in sessions),
        subscriptions=sum(len(session.subscriptions) for session in sessions),
        documents=sum(session.document_count for session in sessions),
        waiting_documents=sum(session.waiting_documents for session in sessions),
        waiting_bytes=sum(session.waiting_bytes for session in sessions),
        messages_received=sum(session.messages_received for session in sessions),
        methods_in_flight=sum(session.methods_in_flight for session in sessions),
    )


def _live_query_totals(live_queries: Sequence[Multiplexer]) -> LiveQueryTotals:
    return LiveQueryTotals(
        count=len(live_queries),
        polled=sum(one.is_polled for one in live_queries),
        waiting=sum(one.state != "live" for one in live_queries),
        followers=sum(one.follower_count for one in live_queries),
        in_step=sum(one.in_step_count for one in live_queries),
        documents_published=sum(map(len, live_queries)),
        changes_seen=sum(one.changes_seen for one in live_queries),
        changes_told=sum(one.changes_told for one in live_queries),
        rereads=sum(one.reread_count for one in live_queries),
        cost_s=sum((one.cost_s for one in live_queries), 0.0),
    )
