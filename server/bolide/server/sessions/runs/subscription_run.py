"""One run of a publish function: the handler's task, its cursors, its end."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, cast

from bolide.core.ddp.messages import WireError
from bolide.core.errors import AuthError, LocalProtocolError, MethodError
from bolide.core.values import Fields
from bolide.server.access.decisions import Decisions
from bolide.server.access.invocation import Invocation, current, entered
from bolide.server.channels.channel import Listening
from bolide.server.clock import Timer
from bolide.server.collections.cursor import Cursor
from bolide.server.context import Context
from bolide.server.livequery.followers import Follower
from bolide.server.livequery.live_queries import Following
from bolide.server.logging.explained import Explained
from bolide.server.methods.errors import log_failure, wire_error
from bolide.server.moment import Moment
from bolide.server.presence.presence import Here
from bolide.server.publications.aggregates import LiveAggregate
from bolide.server.publications.counts import CountSource, LiveCount
from bolide.server.publications.joins.join import Join
from bolide.server.publications.registry import Publication
from bolide.server.sessions.events import Subscription, Work
from bolide.server.sessions.view.source import Source
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.stores.base import Query

if TYPE_CHECKING:
    from bolide.server.sessions.driver import SessionDriver

__all__ = ["SubscriptionRun"]


_Published: TypeAlias = Cursor | LiveAggregate | LiveCount | Listening | Here


class _Followed(Protocol):
    """What the subscription follows, to be stopped with it."""

    def stop(self) -> None: ...


class WrongOutcome(Explained, LocalProtocolError):
    """A publish function returned what cannot be published."""

    code: ClassVar[str] = "wrong-outcome"

    def __init__(self, outcome: str) -> None:
        """Keep what it was.

        Args:
            outcome: In words, without any data.
        """
        super().__init__(outcome)
        self.outcome = outcome

    def __str__(self) -> str:
        """Say what it was."""
        return f"The publish function returned {self.outcome}."


class SubscriptionRun:
    """Runs a publish function for one subscription and keeps its live queries.

    It is the host of the handler's context, and of the join of cursors with children.

    Args:
        driver: The session's driver.
        subscription: Whose run it is.
        work: Its place in the session's queue; None if it does not stand there.
        publication: What to run; None if the client asked for a name that there is not.
    """

    __slots__ = (
        "_driver",
        "_followings",
        "_is_by_hand",
        "_join",
        "_on_stop",
        "_started_at",
        "_task",
        "_timer",
        "_work",
        "decisions",
        "first_done",
        "publication",
        "subscription",
        "was_refused",
    )

    def __init__(
        self,
        driver: "SessionDriver",
        subscription: Subscription,
        publication: Publication | None,
        work: Work | None = None,
    ) -> None:
        """Prepare the run; :meth:`start` begins it."""
        self._driver = driver
        self.subscription = subscription
        self.publication = publication
        self._work = work
        self._followings: list[_Followed] = []
        self._join: Join | None = None
        # The handler publishes by itself, or left something to do it.
        self._is_by_hand = False
        self._on_stop: list[tuple[Callable[[], object], Invocation | None]] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._started_at = 0.0
        self.decisions = Decisions()
        """What the publish function asked and was told."""
        self.was_refused = False
        """It ended because the person may not have it."""
        self.first_done = Moment()
        """The first documents were published, or the handler came to its end without any."""

    @property
    def name(self) -> str:
        """The publication's name, for the log; no name the client made up."""
        if self.publication is None:
            return "(unknown)"
        return self.publication.name or "(universal)"

    def start(self) -> None:
        """Run the publish function."""
        services = self._driver.services
        self._started_at = services.clock.now()
        self._timer = services.clock.call_at(
            self._started_at + services.settings.publication_timeout_s, self._take_too_long
        )
        self._task = services.spawn(self._run())

    def stopped(self) -> None:
        """Let go of everything, because the subscription ended; its documents are gone already."""
        self._stop_timer()
        for following in self._followings:
            following.stop()
        self._followings.clear()
        if self._join is not None:
            self._join.stop()
        callbacks, self._on_stop = self._on_stop, []
        for callback, invocation in callbacks:
            self._call_back(callback, invocation)
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            # A task that is cancelled before its first step never comes to its own end.
            self._end()

    # The host of its join and its counts

    async def follow(self, query: Query, follower: Follower) -> Following:
        """Follow a live query; a few at a time."""
        async with self._driver.first_readings:
            return await self._driver.services.live_queries.follow(query, follower)

    def source_changed(self, source: Hashable, changes: Sequence[ViewChange]) -> None:
        """Pass on what changed in the result of one source."""
        subscriptions = self._driver.session.subscriptions
        try:
            subscriptions.publish(self.subscription, source, changes)
        except Exception as error:  # ours alone: other followers must not suffer
            self._fail(error)
        self._driver.pump()

    def source_ended(self, source: Hashable) -> None:
        """Take back what one source published."""
        self._driver.session.subscriptions.leave(self.subscription, source)
        self._driver.pump()

    def join_failed(self, error: BaseException) -> None:
        """End the subscription, because a source cannot be followed or a child function failed."""
        self._fail(error)

    def work_begun(self, join: Join) -> None:
        """Let fences wait for the join."""
        self._driver.services.live_queries.dependents.begin(join)

    def work_done(self, join: Join) -> None:
        """Let no fence wait for the join."""
        self._driver.services.live_queries.dependents.done(join)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work of the join."""
        return self._driver.services.spawn(work)

    # The host of the handler's context

    def upholds(self, invocation: Invocation) -> bool:
        """Tell whether session, user and decisions of the run are still what they were."""
        return self._driver.upholds(invocation)

    def unblock(self) -> None:
        """Let the session's queue go on."""
        if self._work is not None:
            self._driver.session.unblock(self._work)
            self._driver.pump()

    def added(self, collection: str, id: Any, fields: Fields) -> None:
        """Publish a document."""
        self._is_by_hand = True
        self._driver.session.subscriptions.added(self.subscription, collection, id, fields)
        self._driver.pump()

    def changed(self, collection: str, id: Any, fields: Fields) -> None:
        """Publish other values of some fields."""
        self._is_by_hand = True
        self._driver.session.subscriptions.changed(self.subscription, collection, id, fields)
        self._driver.pump()

    def removed(self, collection: str, id: Any) -> None:
        """Take a document back."""
        self._is_by_hand = True
        self._driver.session.subscriptions.removed(self.subscription, collection, id)
        self._driver.pump()

    def ready(self) -> None:
        """Tell that the first documents were published."""
        if self.subscription.is_active and not self.subscription.is_ready:
            self._observe("ready")
        self._driver.session.ready(self.subscription)
        self._publish_done()
        self._driver.pump()

    def stop(self) -> None:
        """End the subscription without an error."""
        self._observe("stopped")
        self._driver.session.nosub(self.subscription)
        self._driver.pump()

    def error(self, error: BaseException) -> None:
        """End the subscription with an error."""
        self._fail(error)

    def on_stop(self, callback: Callable[[], object]) -> None:
        """Call back when the subscription ends; at once if it ended already."""
        self._is_by_hand = True
        if self.subscription.is_active:
            self._on_stop.append((callback, current()))
        else:
            self._call_back(callback, current())

    # Inside

    async def _run(self) -> None:
        try:
            await self._publish()
        except asyncio.CancelledError:
            if self.subscription.is_active:  # the handler cancelled itself
                self._fail(RuntimeError("the publish function was cancelled"))
        except Exception as error:
            self._fail(error)
        finally:
            self._stop_timer()
            self._end()
            self._task = None

    def _publish_done(self) -> None:
        """Let go of what a former run published, now that this one's documents are there."""
        self.first_done.set()
        self._driver.session.subscriptions.end_former(self.subscription)

    def _end(self) -> None:
        self._publish_done()
        if self._work is not None:
            self._driver.session.finish(self._work)
        self._driver.pump()

    async def _publish(self) -> None:
        publication, subscription = self.publication, self.subscription
        driver = self._driver
        if publication is None:
            raise MethodError(404, f"Subscription '{subscription.name}' not found")
        if self._work is not None:  # the client asked, not the node
            driver.check_rate("subscription", self.name)
        arguments = publication.arguments.bind(subscription.params)
        invocation = Invocation(
            "publication",
            publication.name,
            user_id=driver.user_id,
            session=driver.info,
            is_decided=publication.is_public,
        )
        self.decisions = invocation.decisions
        app = driver.services.app
        context = Context(invocation, self, app.authorize, app.access_of)
        with entered(invocation):
            outcome = await publication.handler(context, *arguments)
            published = _published(outcome)
            if published is None:
                self._look_whether_it_is_by_hand(publication)
                return
            invocation.check_exit("returned a cursor")
            cursors = [one for one in published if isinstance(one, Cursor)]
            queries = [cursor.admitted() for cursor in cursors if not cursor.children]
            queries += [one.query for one in published if isinstance(one, LiveAggregate)]
            counts = [(one, one.query) for one in published if isinstance(one, LiveCount)]
            listenings = [one for one in published if isinstance(one, Listening | Here)]
            for listening in listenings:
                listening.check()
        if subscription.is_active:
            self._followings.extend(listening.start(self) for listening in listenings)
        await asyncio.gather(
            *(self._follow_query(query) for query in queries),
            *(self._count(count, query) for count, query in counts),
            self._follow_join([cursor for cursor in cursors if cursor.children], invocation),
        )
        self.ready()

    def _look_whether_it_is_by_hand(self, publication: Publication) -> None:
        """Warn once of a publish function that forgot its result; its clients wait for ever."""
        subscription, unready = self.subscription, self._driver.services.unready_publications
        if (
            self._is_by_hand
            or subscription.is_universal
            or subscription.is_ready
            or not subscription.is_active
            or publication in unready
        ):
            return
        unready.add(publication)
        self._driver.log.warning(
            "publication will never be ready: its function returned nothing and published nothing;"
            " let it return a cursor, or call ctx.ready()",
            publication=self.name,
        )

    async def _follow_query(self, query: Query) -> None:
        source = Source(self.subscription, query.published_in, self._publish_source, self._fail)
        await self._follow(query, source)

    async def _follow(self, query: Query, follower: Follower) -> None:
        following = await self.follow(query, follower)
        if self.subscription.is_active:
            self._followings.append(following)
        else:
            following.stop()

    async def _count(self, count: LiveCount, query: Query) -> None:
        source = CountSource(count.name, self)
        await self._follow(query, source)
        source.start()

    async def _follow_join(self, cursors: Sequence[Cursor], invocation: Invocation) -> None:
        if not cursors or not self.subscription.is_active:
            return
        services = self._driver.services
        self._join = Join(self, invocation, services.limits, services.app.strategy_of)
        await self._join.start(cursors)

    def _publish_source(self, source: Source, changes: Sequence[ViewChange] | None) -> None:
        """Publish a cursor's whole result, or what changed in it."""
        subscriptions = self._driver.session.subscriptions
        try:
            if changes is None:
                subscriptions.join(source)
            else:
                subscriptions.apply(source, changes)
        except Exception as error:  # ours alone: other followers must not suffer
            self._fail(error)
        self._driver.pump()

    def _fail(self, error: BaseException) -> None:
        if self.subscription.is_active:
            self._observe("error")
            self.was_refused = isinstance(error, AuthError)
            log_failure(self._driver.log, error, publication=self.name)
            self._driver.session.nosub(self.subscription, wire_error(error))
            self._driver.pump()

    def _take_too_long(self) -> None:
        self._timer = None
        if self.first_done.is_set():
            self.unblock()
            return
        limit = self._driver.services.settings.publication_timeout_s
        self._driver.log.warning("publication timed out", publication=self.name, limit_s=limit)
        self._observe("timeout")
        text = f"Subscription '{self.name}' was not ready within {limit:g} seconds"
        self._driver.session.nosub(self.subscription, WireError("timeout", text))
        self._driver.pump()
        if self._task is not None:
            self._task.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _observe(self, outcome: str) -> None:
        services = self._driver.services
        services.metrics.publication_seconds.labels(self.name, outcome).observe(
            services.clock.now() - self._started_at
        )

    def _call_back(self, callback: Callable[[], object], invocation: Invocation | None) -> None:
        """Call back, with no more rights than whoever asked for it had."""

        async def call() -> None:
            try:
                with entered(invocation):
                    outcome = callback()
                    if inspect.isawaitable(outcome):
                        awaitable: Awaitable[object] = outcome
                        await awaitable
            except Exception as error:
                log_failure(self._driver.log, error, publication=self.name)

        self._driver.services.spawn(call())


def _published(outcome: object) -> list[_Published] | None:
    """Return the cursors and such that a handler returned; None if it publishes itself.

    Raises:
        WrongOutcome: If it returned something else, two cursors on one collection, two counts with
            one name, or a topic twice.
    """
    if outcome is None:
        return None
    given: Sequence[object] = [outcome]
    if isinstance(outcome, list | tuple):
        # What a handler returns is anybody's guess until it is looked at.
        given = cast("Sequence[object]", outcome)
    published = [one for one in given if isinstance(one, _Published)]
    if len(published) < len(given):
        raise WrongOutcome(
            "something else than a cursor, a count, an aggregation, a channel's topic, a list of"
            " these or nothing"
        )
    collections = [one.query.collection for one in published if isinstance(one, Cursor)]
    collections += [one.name for one in published if isinstance(one, LiveAggregate)]
    if len(set(collections)) < len(collections):
        raise WrongOutcome(
            "two cursors, or aggregations, for the same collection, which the client could not"
            " tell apart"
        )
    names = [one.name for one in published if isinstance(one, LiveCount)]
    if len(set(names)) < len(names):
        raise WrongOutcome("two counts with the same name")
    topics = [(one.channel, one.topic) for one in published if isinstance(one, Listening | Here)]
    if len(set(topics)) < len(topics):
        raise WrongOutcome("the same topic of a channel twice")
    return published
