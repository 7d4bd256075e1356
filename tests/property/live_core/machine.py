"""One schedule: what happens in which order, and what must hold whenever it comes to rest."""

import asyncio
import itertools
import os
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, cast
from unittest.mock import patch

from tests.mongo_roles import administrator_url
from tests.property.live_core.app import Grants, LiveApp, Run, write_directly
from tests.property.live_core.clients import Reader
from tests.property.live_core.faults import FaultyStore
from tests.property.live_core.model import (
    BEDS,
    COUNTED,
    JOINS,
    MANUAL,
    NOTES,
    PUBLICATIONS,
    THINGS,
    History,
    View,
    merged,
    queries_of,
    work_of,
)
from tests.property.live_core.mongo_history import MongoHistory

from bolide.core.keys import key_of
from bolide.server.livequery import multiplexer, result
from bolide.server.publications.counts import COUNTS
from bolide.server.stores.base import Query, Store
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.mongo.feed.cache import CACHE_BYTES
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.testing import FakeClock, TestNode

__all__ = ["READERS", "Step", "run_schedule"]

Step: TypeAlias = tuple[Any, ...]

READERS = 5
_PLAIN_DDP = (1,)
"""Clients that know no extension; they come back as Meteor's clients do."""

_SINGLE = 3
HISTORY = 4
"""Changes that stay in the file: a transaction of five makes all other processes lose history."""

_KEPT = 6
_SMALLER = ((result, "MIN_BUFFER", 1), (multiplexer, "MAX_KEPT_CHANGES", _KEPT))
"""Sizes that five documents exceed: windows run dry, and too many changes wait for a reading."""

_CACHE_SIZES = (CACHE_BYTES, 120, CACHE_BYTES)
"""Of a node on MongoDB that has every document at hand, one that has hardly any, and a writer."""

# In memory where there is such a place: what is tested is the order of things.
_PLACE = "/dev/shm" if os.path.isdir("/dev/shm") else None
_TIMEOUT_S = 60 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))


async def run_schedule(kind: str, steps: Sequence[Step], *, keeps_own_writes: bool = False) -> None:
    """Run the steps and a last settling; raises with the steps as a note.

    Args:
        kind: ``memory``, ``sqlite``, or the URL of an empty MongoDB database.
        steps: What happens.
        keeps_own_writes: As in :class:`Reader`.
    """
    done = 0
    try:
        async with asyncio.timeout(_TIMEOUT_S), _world(kind, keeps_own_writes) as world:
            for done, step in enumerate(steps):  # noqa: B007
                await world.do(step)
            done = len(steps)
            await world.settle()
    except BaseException as error:
        error.add_note(_as_text(kind, steps, done))
        raise


def _whole(query: Query) -> Query:
    """Return what is read for a live query: a projection comes after it."""
    return replace(query, projection=None)


def _as_text(kind: str, steps: Sequence[Step], done: int) -> str:
    lines = [f"Schedule on {kind}:"]
    for number, step in enumerate([*steps, ("settle",)]):
        mark = "->" if number == done else "  "
        lines.append(f"{mark} {number:3} {step[0]} {', '.join(map(repr, step[1:]))}".rstrip())
    return "\n".join(lines)


@asynccontextmanager
async def _world(kind: str, keeps_own_writes: bool) -> AsyncGenerator["World"]:
    async with AsyncExitStack() as stack:
        for module, name, value in _SMALLER:
            stack.enter_context(patch.object(module, name, value))
        history, clock = History(), FakeClock()
        stores: list[FaultyStore] = []
        if kind.startswith("mongodb:"):
            mongo_history = history = MongoHistory(administrator_url(kind))
            stack.push_async_callback(mongo_history.stop)
            await mongo_history.start()
            # No node may drop a collection; whoever writes from outside may.
            urls = (kind, kind, administrator_url(kind))
            stores = [
                FaultyStore(MongoStore(url, cache_bytes=size), history)
                for url, size in zip(urls, _CACHE_SIZES, strict=True)
            ]
            outside = stores[2]
            await outside.open()
            stack.push_async_callback(outside.close)
        elif kind == "sqlite":
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=_PLACE))
            path = Path(folder) / "live.db"
            for _ in range(3):
                # The clock stands still: nobody looks at the file unless woken.
                store: Store = SQLiteStore(path, clock=clock, history=HISTORY)
                stores.append(FaultyStore(store, history))
            outside = stores[2]
            await outside.open()
            stack.push_async_callback(outside.close)
        else:
            outside = FaultyStore(MemoryStore(clock=clock), history)
            stores.append(outside)
        world = World(history, outside, keeps_own_writes=keeps_own_writes)
        asyncio.get_running_loop().set_exception_handler(world.reported)
        stack.callback(asyncio.get_running_loop().set_exception_handler, None)
        for store_of_node in stores[:2]:
            live_app = LiveApp(world.grants, world.marks)
            port = cast("Store", store_of_node)
            node = await stack.enter_async_context(TestNode(live_app.app, store=port, clock=clock))
            world.add_node(node, live_app, store_of_node)
        world.connect_all()
        yield world


class World:
    """Nodes, clients, a writer that is no node, and the truth."""

    def __init__(self, history: History, outside: FaultyStore, *, keeps_own_writes: bool) -> None:
        self.history = history
        self._outside = outside
        self._nodes: list[TestNode] = []
        self._apps: list[LiveApp] = []
        self._stores: list[FaultyStore] = []
        self.grants = Grants()
        self.marks = itertools.count(1)
        numbers = itertools.count(1)
        self._readers = [
            Reader(
                f"client {i}",
                lambda: next(numbers),
                keeps_own_writes=keeps_own_writes,
                speaks_bolide=i not in _PLAIN_DDP,
            )
            for i in range(READERS)
        ]
        self._writes: list[asyncio.Task[None]] = []
        self._reports: list[str] = []

    def add_node(self, node: TestNode, app: LiveApp, store: FaultyStore) -> None:
        self._nodes.append(node)
        self._apps.append(app)
        self._stores.append(store)

    def connect_all(self) -> None:
        for number, reader in enumerate(self._readers):
            self._connect(reader, number)

    def reported(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Remember what nobody caught."""
        self._reports.append(f"{context['message']} {context.get('exception')!r}")

    async def do(self, step: Step) -> None:
        """Do one step."""
        match step:
            case ("call", int(number), *work):
                self._reader(number).call("write", *work)
            case ("direct", *work):
                port = cast("Store", self._outside)
                self._writes.append(asyncio.create_task(write_directly(port, work_of(*work))))
            case ("subscribe", int(number), str(name)):
                self._subscribe(number, name)
            case ("stop", int(number), int(which)):
                self._reader(number).stop(which)
            case ("login", int(number), user):
                self._reader(number).login(user)
            case ("reconnect", int(number), int(node)):
                self._connect(self._reader(number), node)
            case ("come back", int(number), int(node), int(kinds), int(chunk), bool(asks_late)):
                index = node % len(self._nodes)
                self._reader(number).come_back(
                    self._nodes[index], index, kinds, chunk, asks_late=asks_late
                )
            case ("ask", int(number)):
                self._reader(number).ask()
            case ("repeat", int(number), int(which)):
                self._reader(number).repeat(which)
            case ("grant", user, str(ward)):
                self.grants.toggle(user, ward)
                for app in self._apps:
                    app.app.access_changed(user)
            case ("stall", int(number), int(room_bytes)):
                self._reader(number).stall(room_bytes)
            case ("read", int(number), int(max_bytes)):
                self._reader(number).read(max_bytes)
            case ("drain", int(number)):
                self._reader(number).drain()
            case ("lay", int(node), str(id), int(mark)):
                self._apps[node % len(self._apps)].desk.lay(id, mark)
            case ("take", int(node), str(id)):
                self._apps[node % len(self._apps)].desk.take(id)
            case ("hold feed", int(node)):
                self._store(node).hold_feed()
            case ("hold reads", int(node)):
                self._store(node).hold_reads()
            case ("deliver", int(node)):
                self._store(node).deliver_one()
            case ("answer", int(node), int(number)):
                self._store(node).answer_one(number)
            case ("lose", int(node)):
                self._store(node).lose_next()
            case ("release", int(node)):
                self._store(node).release()
            case ("hold both", int(node)):
                self._store(node).hold_feed()
                self._store(node).hold_reads()
            case ("round trip", int(node), int(times)):
                for _ in range(times):
                    await self._store(node).store.read(Query(collection=THINGS))
            case ("turn", int(turns)):
                for _ in range(turns):
                    await asyncio.sleep(0)
            case ("settle",):
                await self.settle()
            case _:
                raise AssertionError(step)

    async def settle(self) -> None:
        """Come to rest, and compare everything with everything."""
        for store in [*self._stores, self._outside]:
            store.release()
        for reader in self._readers:
            reader.drain()
        writes, self._writes = self._writes, []
        await asyncio.gather(*writes)
        for reader in self._readers:
            reader.ask()
            await reader.answered()
            await reader.published()
        for node in self._nodes:
            await _methods_ended(node)
        for store in self._stores:
            end = await store.store.read(Query(collection=THINGS))
            await store.feed_reached(end.position)
        for node in self._nodes:
            await node.settle()
        for reader in self._readers:
            assert not reader.faults, reader.faults
        assert not self._reports, self._reports
        if isinstance(self.history, MongoHistory):
            await self.history.catch_up()
        while writing := [one for one in (*self._stores, self._outside) if one.is_writing]:
            await writing[0].at_rest()
        self.history.complete()
        await self._check_stores()
        runs = [run for app in self._apps for some in app.calls.values() for run in some]
        positions = {run.mark: run.position for run in runs}
        self._check_calls()
        for reader in self._readers:
            self._check_view(reader)
            reader.check_moments(self.history, positions)
        self._check_reads()

    # What must hold

    async def _check_stores(self) -> None:
        """Every store finds what follows from the changes that were told."""
        for store in [*self._stores, self._outside]:
            for query in _all_queries():
                found = (await store.store.read(query)).documents
                assert {key_of(d["_id"]): d for d in found} == self.history.now(query), query

    def _check_view(self, reader: Reader) -> None:
        """A client shows what its queries find, all of it and nothing else."""
        views: dict[str, list[View]] = {}
        for subscription in reader.subscriptions.values():
            if subscription.name == MANUAL:
                desk = self._apps[reader.node].desk.documents
                by_hand: View = {
                    id: {"_id": id, "mark": mark} if mark else {"_id": id}
                    for id, mark in desk.items()
                }
                views.setdefault(THINGS, []).append(by_hand)
            for collection, view in self._expected(subscription.name, reader.user):
                views.setdefault(collection, []).append(view)
        for collection in {NOTES, BEDS, COUNTS, *(query.collection for query in _all_queries())}:
            expected = merged(views.get(collection, []))
            assert reader.view(collection) == expected, (
                f"{reader.name} shows {reader.view(collection)} of {collection} and find returns "
                f"{expected}; it is subscribed to "
                f"{[one.name for one in reader.subscriptions.values()]}"
            )

    def _expected(self, name: str, user: str | None) -> list[tuple[str, View]]:
        """Return what a publication shows to a user: collections and documents."""
        if name in JOINS:
            return JOINS[name].shown(self.history)
        if name in COUNTED:
            count = len(self.history.now(COUNTED[name]))
            return [(COUNTS, {key_of(name): {"_id": name, "count": count}})]
        if name == BEDS:
            wards = {"$in": self.grants.wards_of(user)}
            return [(BEDS, self.history.now(Query(collection=BEDS, selector={"ward": wards})))]
        return [(query.collection, self.history.now(query)) for query in queries_of(name, user)]

    def _check_calls(self) -> None:
        """A call with an id had one effect at most, and everybody was told that one's outcome."""
        runs: dict[int, list[Run]] = {}
        for app in self._apps:
            for number, some in app.calls.items():
                runs.setdefault(number, []).extend(some)
        for number, all_of_it in runs.items():
            effects = [run.mark for run in all_of_it if run.has_changed]
            assert len(effects) <= 1, f"call {number} changed something {len(effects)} times"
        for reader in self._readers:
            for number, results in reader.results.items():
                marks = {run.mark for run in runs[number]}
                assert marks.issuperset(results), f"call {number} has a result of nowhere"
                effects = [run.mark for run in runs[number] if run.has_changed]
                if effects and effects[0] in results:
                    rest = set(results[results.index(effects[0]) :])
                    assert rest == {effects[0]}, f"call {number} changed its result to {rest}"

    def _check_reads(self) -> None:
        """Nothing is read but for a reason: a first result, or something that was lost."""
        for app, store in zip(self._apps, self._stores, strict=True):
            for name, queries in PUBLICATIONS.items():
                for query in map(_whole, queries):
                    runs = sum(
                        app.runs[other]
                        for other, of in PUBLICATIONS.items()
                        if query in map(_whole, of)
                    )
                    # Too many changes are not kept, but read.
                    reasons = runs + store.losses + len(self.history.changes) // _KEPT
                    if query.limit or query.skip:
                        reasons += store.batches
                    reads = store.reads[repr(query)]
                    assert reads <= reasons, f"{name} was read {reads} times for {reasons} reasons"

    # Inside

    def _reader(self, number: int) -> Reader:
        return self._readers[number % READERS]

    def _store(self, node: int) -> FaultyStore:
        return self._stores[node % len(self._stores)]

    def _connect(self, reader: Reader, node: int) -> None:
        index = node % len(self._nodes)
        reader.connect(self._nodes[index], index)

    def _subscribe(self, number: int, name: str) -> None:
        reader = self._reader(number)
        # Most clients follow one query at a time, so that their views can be dated.
        if number % READERS < _SINGLE:
            reader.stop_others_on_things()
        # Without merging a document may be held by one subscription only.
        held = [one.name for one in reader.subscriptions.values() if not one.is_stopping]
        if name != "plain" or name not in held:
            reader.subscribe(name)


async def _methods_ended(node: TestNode) -> None:
    """Wait for calls of clients, also those that went away: their methods run to the end."""
    while running := [
        task
        for task in node.node.services.tasks
        if getattr(task.get_coro(), "__qualname__", "") == "MethodRun._run"
    ]:
        await asyncio.wait(running)


def _all_queries() -> list[Query]:
    return [query for queries in PUBLICATIONS.values() for query in queries]
