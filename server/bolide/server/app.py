"""The app: what a developer registers, and what a node serves."""

import inspect
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Never, TypeAlias, TypeVar

from bolide.core.errors import ConfigurationError
from bolide.server.access.authorize import Authorize, deny
from bolide.server.access.gateway import Gateway
from bolide.server.access.repeating import in_transaction
from bolide.server.arguments import Handler
from bolide.server.audit.sink import AuditSink
from bolide.server.channels.channel import Channel
from bolide.server.channels.hub import ChannelHub
from bolide.server.collections.collection import Collection
from bolide.server.collections.cursor import Cursor
from bolide.server.jobs.registry import JobHandler, Jobs
from bolide.server.jobs.schedule import Cron, Every, Schedule
from bolide.server.logging.explained import NotBuilt
from bolide.server.methods.registry import Methods
from bolide.server.presence.hub import PresenceHub
from bolide.server.presence.presence import Presence
from bolide.server.publications.aggregates import LiveAggregate
from bolide.server.publications.counts import LiveCount
from bolide.server.publications.registry import Publications
from bolide.server.sessions.ratelimit import RateLimitRule
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.settings import Settings, read_settings
from bolide.server.stores.base import Store
from bolide.server.stores.pipelines import WrongPipeline

if TYPE_CHECKING:
    from bolide.server.web.application import NodeApplication

__all__ = ["App"]

_Handler = TypeVar("_Handler", bound=Handler)

MAX_SHOWN_S = 3_600.0
"""Longest time that a message of a channel may be shown, seconds."""

_AccessWatcher: TypeAlias = Callable[[str | None], object]
_StartupHook: TypeAlias = Callable[[], Awaitable[None]]
_Hook = TypeVar("_Hook", bound=_StartupHook)
_JobHandler = TypeVar("_JobHandler", bound=JobHandler)
_Value = TypeVar("_Value")


class App:
    """Collections, publications and methods under one roof.

    Attributes:
        settings: As given; None lets whoever serves the app read them from the environment.
        publications: What was registered with :meth:`publish`.
        methods: What was registered with :meth:`method`.
        jobs: What was registered with :meth:`every` and :meth:`cron`.
        audit: Where accesses are recorded; None records none.
        rate_limits: Rules that the node follows; add them before it starts.
        pages: Folder served at ``/``, or None.
    """

    def __init__(self, settings: Settings | None = None, *, pages: Path | None = None) -> None:
        """Make an app without anything.

        Args:
            settings: None reads them from the environment and ``bolide.toml`` when it is served.
            pages: Folder with ``index.html`` and what belongs to it, served at ``/``.
        """
        self.settings = settings
        self.pages = pages
        self.rate_limits: list[RateLimitRule] = []
        self.publications = Publications()
        self.methods = Methods()
        self.jobs = Jobs()
        self.audit: AuditSink | None = None
        self._authorize: Authorize = deny
        self._gateway = Gateway()
        self._collections: dict[str, Collection] = {}
        self._channels: dict[str, Channel] = {}
        self._presences: dict[str, Presence] = {}
        self._startup_hooks: list[_StartupHook] = []
        self._access_watchers: list[_AccessWatcher] = []

    def collection(
        self,
        name: str,
        *,
        id: Literal["random", "oid"] = "random",
        strategy: PublicationStrategy = PublicationStrategy.SERVER_MERGE,
        access: str | None = None,
        phi: object = None,
        clear: object = None,
    ) -> Collection:
        """Make a collection.

        Args:
            name: Its name, in the store and in clients.
            id: What ``_id`` an insert without one draws: ``"random"`` is a Meteor id of 17
                characters, ``"oid"`` an ObjectId.
            strategy: How sessions merge what several subscriptions publish of it.
            access: The top-level field that holds a document's access scope, a string. In such a
                collection a handler finds and writes only what is in a scope that it opened with
                ``ctx.require(permission, access_scope)``.
            phi: The encrypted fields; not built yet.
            clear: The plain fields of a collection with ``phi``; not built yet.

        Raises:
            ConfigurationError: If the name cannot be one or is taken, or an option is not built.
        """
        for option, value in (("phi", phi), ("clear", clear)):
            if value is not None:
                raise NotBuilt(f'{option} of app.collection("{name}")', value)
        self._check_new("collection", name)
        if id not in ("random", "oid"):
            raise ConfigurationError(f'id of app.collection("{name}")', id, '"random" or "oid"')
        _check_access(name, access, strategy)
        collection = Collection(self._gateway, name, id, strategy, access)
        self._collections[name] = collection
        return collection

    # Annotations are of any type.
    def channel(
        self, name: str, payload: Any, *, access: bool = False, shown_for_s: float = 5
    ) -> Channel:
        """Make a channel: messages to whoever listens now, which nobody keeps.

        ``await typing.send(ward, {"bed": 3})`` in a method, ``return typing.listen(ward)`` in a
        publish function. Both need a decision of the handler first.

        Args:
            name: Its name; in clients that of the collection whose documents are its messages.
            payload: The type of a message, as an argument of a method would be annotated.
            access: Each topic is an access scope: only a handler that opened it with
                ``ctx.require(permission, topic)`` may send or listen to it.
            shown_for_s: How long a message is a document in clients, seconds.

        Raises:
            ConfigurationError: If the name cannot be one or is taken, or the time is none.
            TypeError: If no client can send such a message.
        """
        self._check_new("channel", name)
        _check_scoped("channel", name, access)
        if not 0 < shown_for_s <= MAX_SHOWN_S:
            expected = f"a number of seconds above 0, at most {MAX_SHOWN_S:g}"
            raise ConfigurationError(f'shown_for_s of app.channel("{name}")', shown_for_s, expected)
        channel = Channel(name, payload, is_scoped=access, lives_s=shown_for_s)
        self._channels[name] = channel
        return channel

    # Annotations are of any type.
    def presence(self, name: str, payload: Any = None, *, access: bool = False) -> Presence:
        """Make a presence: who is where now, on any node.

        ``await online.enter(ctx, ward, {"role": "nurse"})`` in a handler, ``return
        online.here(ward)`` in a publish function. Both need a decision of the handler first.

        Args:
            name: Its name; in clients that of the collection of those who are here.
            payload: The type of what is told of a member, as an argument of a method would be
                annotated; None: nothing is.
            access: Each topic is an access scope: only a handler that opened it with
                ``ctx.require(permission, topic)`` may enter it or look.

        Raises:
            ConfigurationError: If the name cannot be one or is taken.
            TypeError: If no client can send what is told of a member.
        """
        self._check_new("presence", name)
        _check_scoped("presence", name, access)
        presence = self._presences[name] = Presence(name, payload, is_scoped=access)
        return presence

    @property
    def broadcasts(self) -> bool:
        """Whether it has anything to tell to other nodes beside what is in the store."""
        return bool(self._channels or self._presences) or self._authorize is not deny

    def strategy_of(self, collection: str) -> PublicationStrategy:
        """Return how sessions merge a collection, registered or not."""
        found = self._collections.get(collection)
        return PublicationStrategy.SERVER_MERGE if found is None else found.strategy

    @property
    def collection_names(self) -> frozenset[str]:
        """Names of the collections."""
        return frozenset(self._collections)

    @property
    def merges_all(self) -> bool:
        """Whether a document of any collection may be published twice to one session."""
        merging = (PublicationStrategy.SERVER_MERGE, PublicationStrategy.NO_MERGE_MULTI)
        return all(found.strategy in merging for found in self._collections.values())

    @property
    def _scoped(self) -> frozenset[str]:
        return frozenset(name for name, found in self._collections.items() if found.access)

    def access_of(self, collection: str) -> str | None:
        """Return the field that holds the access scope; None if the collection has none."""
        found = self._collections.get(collection)
        return None if found is None else found.access

    def publish(self, name: str | None, *, public: bool = False) -> Callable[[_Handler], _Handler]:
        """Register the decorated function as a publication.

        Args:
            name: What clients subscribe to; None publishes to every session.
            public: Everybody may subscribe; the handler need not decide.

        Raises:
            ConfigurationError: If the name is taken.
            TypeError: If the function cannot be a handler; the text says why.
        """
        _check_name(name, "publish")

        def register(handler: _Handler) -> _Handler:
            self.publications.add(name, handler, is_public=public)
            return handler

        return register

    def method(self, name: str, *, public: bool = False) -> Callable[[_Handler], _Handler]:
        """Register the decorated function as a method.

        Args:
            name: What clients call.
            public: Everybody may call it; the handler need not decide.

        Raises:
            ConfigurationError: If the name is taken.
            TypeError: If the function cannot be a handler; the text says why.
        """
        _check_name(name, "method")

        def register(handler: _Handler) -> _Handler:
            self.methods.add(name, handler, is_public=public)
            return handler

        return register

    def live_count(self, name: str, cursor: Cursor) -> LiveCount:
        """Count the documents of a cursor, for a publish function to return.

        The client gets ``{_id: name, count: number}`` in the collection ``counts``, whenever the
        number changes, and none of the documents. ``return app.live_count("ward.7",
        patients.find({"ward": "7"}))``, alone or in a list with cursors and other counts.

        Args:
            name: The count's ``_id`` in the client; different in each publication.
            cursor: What to count, within its skip and limit; its children are not counted.

        Raises:
            TypeError: If the name is no text or ``cursor`` no cursor.
        """
        return LiveCount(name, cursor)

    # Stages are MongoDB's.
    def live_aggregate(
        self, name: str, collection: Collection, pipeline: Sequence[Mapping[str, Any]]
    ) -> LiveAggregate:
        """Publish the rows of an aggregation, for a publish function to return.

        ``return app.live_aggregate("occupancy", beds, [{"$group": {"_id": "$ward", "n": {"$sum":
        1}}}])``, alone or in a list with cursors and counts. The rows are in the client's
        collection ``name``. MongoDB makes them again after changes of the collection, and of those
        that ``$lookup``, ``$graphLookup`` and ``$unionWith`` name, and now and then anyway.

        In a collection with access scopes it sees only what is in those that are open. A collection
        with access scopes cannot be joined, nor a view of one.

        Args:
            name: The collection that the rows have in the client; none with access scopes.
            collection: What is aggregated.
            pipeline: MongoDB's stages, without ``$out`` and ``$merge``. Each row needs an ``_id``
                of its own.

        Raises:
            NeedsMongoDB: If the store is embedded.
            NotRunning: If the app does not run.
            TypeError: If an argument is of another type.
            WrongPipeline: If the pipeline cannot be published; the text says why.
        """
        aggregate = LiveAggregate(self._gateway, name, collection, pipeline, self._scoped)
        if name in self._channels:
            raise WrongPipeline(collection.name, f"{name} is a channel: name the rows otherwise")
        return aggregate

    def on_startup(self, hook: _Hook) -> _Hook:
        """Run the decorated function when a node starts, before it takes sessions.

        It is trusted code and takes no arguments. If it raises, the node does not start.

        Raises:
            TypeError: If it is not ``async``.
        """
        is_async: bool = inspect.iscoroutinefunction(hook)
        if not is_async:
            raise TypeError(f"The start-up hook {hook!r} is not a coroutine function.")
        self._startup_hooks.append(hook)
        return hook

    async def run_startup_hooks(self) -> None:
        """Run the start-up hooks in the order they were registered; the node calls this."""
        for hook in self._startup_hooks:
            await hook()

    def every(
        self,
        *without_unit: Never,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        name: str | None = None,
    ) -> Callable[[_JobHandler], _JobHandler]:
        """Run the decorated function again and again, on one node of all that share the store.

        The parts of the period are added up. It counts from the beginning of one run to that of
        the next; the first comes a period after the job was first seen. A run that takes longer
        than the period leaves out the times that it covers. ``docs/topics/jobs.md`` says what
        happens when nodes are lost.

        Args:
            without_unit: Refused: a number needs its unit.
            weeks: Part of the period.
            days: Part of the period, of 24 hours.
            hours: Part of the period.
            minutes: Part of the period.
            seconds: Part of the period.
            name: The job's name, the same on every node; None: the function's with its module.

        Raises:
            ConfigurationError: If the period is less than a second, or the name is taken.
            TypeError: If the function is not ``async`` or takes arguments.
        """
        if without_unit:
            raise TypeError("Write @app.every(minutes=5): a period with its unit, in parentheses.")
        return self._scheduled(
            name,
            Every.of(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds),
        )

    def cron(
        self,
        expression: str,
        *,
        timezone: str = "UTC",
        catch_up: bool = True,
        name: str | None = None,
    ) -> Callable[[_JobHandler], _JobHandler]:
        """Run the decorated function at the times of a cron expression, on one node of all.

        Args:
            expression: Five fields: minute, hour, day of month, month, day of week.
            timezone: Whose clock, a name of the IANA database.
            catch_up: Times that passed while no node ran are made up for by one run.
            name: The job's name, the same on every node; None: the function's with its module.

        Raises:
            ConfigurationError: If the expression or time zone is none, or the name is taken.
            TypeError: If the function is not ``async`` or takes arguments.
        """
        if callable(expression):
            raise TypeError('Write @app.cron("30 2 * * *"), not @app.cron.')
        return self._scheduled(name, Cron.of(expression, timezone, catch_up=catch_up))

    def _scheduled(
        self, name: str | None, schedule: Schedule
    ) -> Callable[[_JobHandler], _JobHandler]:
        def register(handler: _JobHandler) -> _JobHandler:
            self.jobs.add(name, handler, schedule)
            return handler

        return register

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Let all reads and writes of the block commit together, or not at all.

        ``async with app.transaction(): ...``; leaving it by an exception takes everything back.
        """
        return self._gateway.transaction()

    async def with_transaction(self, work: Callable[[], Awaitable[_Value]]) -> _Value:
        """Run ``work`` in a transaction; again, for up to 20 s, while another one is in the way.

        What it does besides reads and writes must be harmless a second time.

        Raises:
            TransactionConflict: If others are in the way all that time; nothing was written.
        """
        return await in_transaction(self._gateway.transaction, work)

    @property
    def authorize(self) -> Authorize:
        """Who decides what ``ctx.require`` asks; denies everything until it is set.

        Raises:
            TypeError: On setting it to an ``async`` function: a decision is not awaited.
        """
        return self._authorize

    @authorize.setter
    def authorize(self, authorize: Authorize) -> None:
        if inspect.iscoroutinefunction(authorize):
            raise TypeError("app.authorize must be a plain function that returns True or False.")
        self._authorize = authorize

    def access_changed(self, user_id: str | None = None) -> None:
        """Say that :attr:`authorize` may decide otherwise from now on.

        Every live subscription is asked again what it was told with ``ctx.require``. Where an
        answer is a different one, the publication runs again: what a person lost is taken back
        before this returns; what a person gained comes as soon as the new run has it. Calls that
        are running go on as they were decided. The other nodes are told, if :attr:`authorize` was
        set before this one started, and ask their own :attr:`authorize` a moment later.

        Call it on the event loop, after the change.

        Args:
            user_id: Whose permissions changed; None for everybody's.
        """
        for watcher in tuple(self._access_watchers):
            watcher(user_id)

    def watch_access(self, watcher: _AccessWatcher) -> None:
        """Call ``watcher`` with what :meth:`access_changed` is given; the node does this."""
        self._access_watchers.append(watcher)

    def unwatch_access(self, watcher: _AccessWatcher) -> None:
        """Call it no more; harmless if it was not called."""
        if watcher in self._access_watchers:
            self._access_watchers.remove(watcher)

    @cached_property
    def asgi(self) -> "NodeApplication":
        """The app as an ASGI application, for uvicorn or to be mounted in another one.

        Mounted, it also needs ``lifespan=app.lifespan`` in the parent. Reads the settings if none
        were given.

        Raises:
            ConfigurationError: If a setting cannot work.
        """
        # The node needs the app; only here does the app know of the node.
        from bolide.server.web.application import NodeApplication

        self.settings = self.settings or read_settings(environment=os.environ)
        return NodeApplication.of_app(self, self.settings)

    def lifespan(self, parent: object = None) -> AbstractAsyncContextManager[None]:
        """Run the node while a parent application lives; pass it on as ``lifespan=app.lifespan``.

        Args:
            parent: The parent application, as ASGI frameworks pass it; not used.
        """
        return self.asgi.lifespan(parent)

    def attach(self, store: Store) -> None:
        """Let the collections use a store that is open; the node calls this."""
        self._gateway.attach(store)

    def attach_channels(self, hub: ChannelHub, presence: PresenceHub) -> None:
        """Let channels and presences reach somebody; the node calls this."""
        for channel in self._channels.values():
            channel.attach(hub)
        for declared in self._presences.values():
            declared.attach(presence)

    def detach(self) -> None:
        """Let collections and channels reach nothing; the node calls this before its end."""
        self._gateway.detach()
        for channel in self._channels.values():
            channel.detach()
        for presence in self._presences.values():
            presence.detach()

    def _check_new(self, kind: str, name: str) -> None:
        """Refuse a name that cannot be one in clients or the store, and one that is taken."""
        option = f"The name of a {kind}"
        if not name or "$" in name or "\0" in name or name.startswith(("system.", "_bolide")):
            expected = "a name without $, not empty, not system.* and not _bolide*"
            raise ConfigurationError(option, name, expected)
        if name in {*self._collections, *self._channels, *self._presences}:
            raise ConfigurationError(option, name, f"used once: keep what app.{kind} returns")


def _check_scoped(kind: str, name: str, access: object) -> None:
    """Refuse the name of a field: topics have none."""
    if not isinstance(access, bool):
        expected = "True, if its topics are access scopes, or False"
        raise ConfigurationError(f'access of app.{kind}("{name}")', access, expected)


def _check_access(name: str, access: object, strategy: PublicationStrategy) -> None:
    """Refuse an access field that cannot be one, and a strategy that cannot take back."""
    if access is None:
        return
    option = f'access of app.collection("{name}")'
    if not isinstance(access, str) or access in ("", "_id") or not set(".$\0").isdisjoint(access):
        expected = "the name of a top-level field, without . and $, and not _id"
        raise ConfigurationError(option, access, expected)
    if strategy is PublicationStrategy.NO_MERGE_NO_HISTORY:
        raise ConfigurationError(
            option,
            access,
            "left out with NO_MERGE_NO_HISTORY: documents could not be taken back from clients"
            " whose access ends",
        )


def _check_name(name: object, decorator: str) -> None:
    """Find out that somebody left out the parentheses."""
    if callable(name):
        raise TypeError(f'Write @app.{decorator}("name"), not @app.{decorator}.')
