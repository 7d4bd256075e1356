"""The join of one subscription: it follows cursors, asks their child functions, follows the rest.

Theory of operation. What has to be done is marked when a source is told of a change, and done by
one task in *rounds*. A round

1. asks the child functions of all parents that are new, gone, or differ in what was read;
2. finds the queries that serve the present wants;
3. follows the new ones, all at the same time;
4. ends those that they replace, and takes back what only these had published.

So a document that both have causes no traffic, a burst of changes is one round, and what changes
while a query is being read waits for the next round instead of meeting it halfway. A round carries
a change down one level: after as many rounds as there are levels all its consequences are
published, even if others change things all the time.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection, Coroutine, Hashable, Iterable, Sequence
from typing import Any, Final, Protocol, cast

from bolide.core.errors import AuthError, MethodError
from bolide.server.access.invocation import Invocation, entered
from bolide.server.collections.cursor import ChildFunction, Cursor
from bolide.server.limits import Limits
from bolide.server.livequery.followers import Follower
from bolide.server.livequery.live_queries import Following
from bolide.server.logging.explained import Explained
from bolide.server.publications.joins.errors import (
    ChildFailed,
    JoinTooDeep,
    JoinTooWide,
    UnmergedChild,
    WrongChild,
)
from bolide.server.publications.joins.group import Group, Link, Parent, Source
from bolide.server.publications.joins.parent_view import ParentView
from bolide.server.publications.joins.wanted import ONCE, Wanted, read_wanted
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.stores.base import Query

__all__ = ["Join", "JoinHost"]

_SLICE: Final = 200
"""Parents whose child functions are asked in one turn of the event loop."""

_MERGED: Final = (PublicationStrategy.SERVER_MERGE, PublicationStrategy.NO_MERGE_MULTI)


class JoinHost(Protocol):
    """What a join needs of its subscription and of the node."""

    async def follow(self, query: Query, follower: Follower) -> Following:
        """Follow a live query."""
        ...

    def source_changed(self, source: Hashable, changes: Sequence[ViewChange]) -> None:
        """Publish what changed in the result of one query, in one turn."""
        ...

    def source_ended(self, source: Hashable) -> None:
        """Take back everything that this source published and no other one does."""
        ...

    def join_failed(self, error: BaseException) -> None:
        """End the subscription with an error."""
        ...

    def work_begun(self, join: "Join") -> None:
        """Let fences wait for the join: it was told something and has not acted upon it yet."""
        ...

    def work_done(self, join: "Join") -> None:
        """Learn that it has; harmless a second time."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run work beside everything else, outside any invocation."""
        ...


class Join:
    """Follows cursors with children for one subscription.

    Args:
        host: The subscription.
        invocation: The publish function's; child functions run in it.
        limits: How deep and how wide.
        strategy_of: Publication strategy of a collection, by name.
    """

    def __init__(
        self,
        host: JoinHost,
        invocation: Invocation | None,
        limits: Limits,
        strategy_of: Callable[[str], PublicationStrategy],
    ) -> None:
        """Prepare it; :meth:`start` begins."""
        self._host = host
        self._invocation = invocation
        self._limits = limits
        self._strategy_of = strategy_of
        self._sources: dict[Source, None] = {}
        # Groups with parents to be asked for, groups whose wants changed.
        self._stale: dict[Group, None] = {}
        self._planned: dict[Group, None] = {}
        self._parent_collections: set[str] = set()
        self._worker: asyncio.Task[None] | None = None
        self._rounds_begun = 0
        self._rounds_done = 0
        self._round_over = asyncio.Event()
        self._is_stopped = False

    async def start(self, cursors: Iterable[Cursor]) -> None:
        """Follow cursors; the documents of all levels were published when this returns.

        If something fails, the host was told, and nothing more comes.

        Args:
            cursors: On different collections.
        """
        roots: dict[Hashable, Group] = {}
        with entered(self._invocation):
            wanted = [
                Wanted(number, cursor.admitted(), cursor.children, None, ONCE)
                for number, cursor in enumerate(cursors)
            ]
        try:
            for root in wanted:
                self._want(Group(root, 0, self._limits.max_join_values, roots), root)
        except Exception as error:
            self._fail(error)
        await self.settled()

    def stop(self) -> None:
        """Let go of all queries; harmless a second time."""
        if self._is_stopped:
            return
        self._is_stopped = True
        if self._worker is not None and self._worker is not asyncio.current_task():
            self._worker.cancel()
        for source in self._sources:
            source.end()
        self._sources.clear()
        self._rest()

    # Whom fences wait for

    def depends_on(self, collections: Collection[str]) -> bool:
        """Tell whether a change of one of these collections may change what is followed."""
        return not self._parent_collections.isdisjoint(collections)

    async def settled(self) -> None:
        """Wait until everything it was told up to now was acted upon, down to the last level."""
        # The round under way may have begun too early; then one for each level, the first included.
        enough = self._rounds_begun + 1 + self._limits.max_join_depth
        while self._worker is not None and self._rounds_done < enough:
            await self._round_over.wait()

    # The listener of its sources

    def source_changed(self, source: Source, changes: Sequence[ViewChange]) -> None:
        """Publish the documents, and mark the children that follow from them."""
        self._host.source_changed(source, changes)
        if not source.is_ended:
            source.group.take(source, changes)
            self._mark_stale(source.group)

    def source_failed(self, source: Source, error: Exception) -> None:
        """End the subscription."""
        self._fail(error)

    # Inside

    def _mark_stale(self, group: Group) -> None:
        if group.stale:
            self._stale[group] = None
            self._begin()

    def _begin(self) -> None:
        if self._worker is None and not self._is_stopped:
            self._host.work_begun(self)
            self._worker = self._host.spawn(self._work())

    def _rest(self) -> None:
        """Be done, for now or for good."""
        self._worker = None
        self._host.work_done(self)
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        self._round_over.set()
        self._round_over = asyncio.Event()

    def _fail(self, error: BaseException) -> None:
        if not self._is_stopped:
            self._host.join_failed(_first(error))
            self.stop()

    async def _work(self) -> None:
        try:
            while (self._stale or self._planned) and not self._is_stopped:
                self._rounds_begun += 1
                await self._round()
                self._rounds_done += 1
                self._tell_waiting()
        except Exception as error:
            self._fail(error)
        self._rest()

    async def _round(self) -> None:
        stale, self._stale = self._stale, {}
        for group in stale:
            await self._ask(group)
        if self._is_stopped:  # by a child function
            return
        planned, self._planned = self._planned, {}
        ended: list[Source] = []
        opened: list[Source] = []
        for group in planned:
            new, old = group.plan(self)
            opened += new
            ended += old
        self._sources.update(dict.fromkeys(opened))
        if len(self._sources) - len(ended) > self._limits.max_join_queries:
            raise JoinTooWide(self._limits.max_join_queries)
        async with asyncio.TaskGroup() as tasks:
            for source in opened:
                tasks.create_task(self._open(source))
        for source in ended:
            self._end(source)

    async def _open(self, source: Source) -> None:
        following = await self._host.follow(source.query, source)
        # Told the first documents, it may have failed.
        if source.is_ended:
            following.stop()
        else:
            source.following = following

    def _end(self, source: Source) -> None:
        del self._sources[source]
        source.end()
        self._host.source_ended(source)
        source.group.forget(source)
        self._mark_stale(source.group)

    async def _ask(self, group: Group) -> None:
        """Ask the child functions of all stale parents of a group."""
        stale, group.stale = group.stale, {}
        for number, key in enumerate(stale, 1):
            parent = group.parents.get(key)
            if parent is not None and parent.sources:
                self._answer(group, parent)
            elif parent is not None:
                del group.parents[key]
                for link in parent.links:
                    self._release(link)
            if self._is_stopped:
                return
            if number % _SLICE == 0:
                await asyncio.sleep(0)

    def _answer(self, group: Group, parent: Parent) -> None:
        for number, function in enumerate(group.wanted.children):
            old = parent.links[number]
            if old is None or old.view.has_other(parent.fields):
                parent.links[number] = self._link(group, number, function, parent)
                self._release(old)
        parent.show()

    def _link(self, group: Group, number: int, function: ChildFunction, parent: Parent) -> Link:
        view = ParentView(parent.id, parent.fields, group.shown)
        level = group.level + 1
        wanted = self._call(function, view)
        if wanted is None:
            return Link(view, None, {})
        collection = wanted.query.collection
        if wanted.children and level == self._limits.max_join_depth:
            raise JoinTooDeep(collection, level)
        strategy = self._strategy_of(collection)
        if strategy not in _MERGED:
            raise UnmergedChild(collection, strategy.name)
        siblings = group.below(number)
        below = siblings.get(wanted.key)
        if below is None:
            below = Group(wanted, level, self._limits.max_join_values, siblings)
        self._want(below, wanted)
        return Link(view, below, wanted.values)

    def _want(self, group: Group, wanted: Wanted) -> None:
        if wanted.children:
            self._parent_collections.add(wanted.query.collection)
        group.want(wanted.values)
        self._planned[group] = None
        self._begin()

    def _release(self, link: Link | None) -> None:
        if link is not None and link.group is not None:
            link.group.release(link.values)
            self._planned[link.group] = None

    def _call(self, function: ChildFunction, view: ParentView) -> Wanted | None:
        """Ask one child function for one parent."""
        where = _location(function)
        try:
            with entered(self._invocation):
                outcome: object = function(view)
                if isinstance(outcome, Cursor):
                    return read_wanted(outcome, view.values_read())
        except (MethodError, AuthError, Explained):
            raise
        except Exception as error:
            raise ChildFailed(where) from error
        if outcome is None:
            return None
        if inspect.isawaitable(outcome):
            _close(outcome)
            raise WrongChild(where, "an awaitable")
        raise WrongChild(where, "something else than a cursor")


def _first(error: BaseException) -> BaseException:
    """Return the first error of a group that a TaskGroup raised; any other as it is."""
    if isinstance(error, BaseExceptionGroup):
        parts = cast("tuple[BaseException, ...]", error.exceptions)  # pyright: ignore[reportUnknownMemberType]
        return _first(parts[0])
    return error


def _close(awaitable: Awaitable[object]) -> None:
    """Let a coroutine go that nobody awaits."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()


def _location(function: ChildFunction) -> str:
    """Say where a child function is written."""
    name: str = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{function.__module__}.{name}"
