"""A node: one app on one store, with all its sessions."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import structlog

from bolide.core.errors import StateError
from bolide.server.access.changes import AccessChanges
from bolide.server.app import App
from bolide.server.broadcast.base import Broadcast
from bolide.server.broadcast.choice import make_broadcast
from bolide.server.broadcast.state import BroadcastSeries, BroadcastState, state_of
from bolide.server.broadcast.store import MESSAGES
from bolide.server.channels.hub import ChannelHub
from bolide.server.clock import Clock, SystemClock, Timer
from bolide.server.jobs.runner import JobRunner
from bolide.server.jobs.statistics import JobStatistics
from bolide.server.lateness import Lateness
from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.methods.calls import Calls
from bolide.server.methods.errors import log_failure
from bolide.server.presence.hub import PresenceHub
from bolide.server.random_ids import random_id
from bolide.server.redis.address import RedisAddress
from bolide.server.redis.secret import shared_secret
from bolide.server.redis.setting import address_of
from bolide.server.sessions.driver import SessionDriver
from bolide.server.sessions.ratelimit import RateLimiter
from bolide.server.sessions.services import Services
from bolide.server.sessions.transport import Transport
from bolide.server.settings import Settings
from bolide.server.stores.base import Blockable, HeldInMemory, Query, Store
from bolide.server.stores.feed_health import HasFeedHealth
from bolide.server.stores.own_collections import CALLS
from bolide.server.telemetry.metrics import Metrics
from bolide.server.turn import Turn

if TYPE_CHECKING:
    from bolide.server.redis.node_redis import NodeRedis

__all__ = ["VISIBLE_HEADERS", "Node"]

VISIBLE_HEADERS = frozenset(
    {
        "accept-language",
        "dnt",
        "host",
        "referer",
        "user-agent",
        "via",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
        "x-ssl",
    }
)
"""Headers of the handshake that handlers may see, as in Meteor; never cookies."""

CHECK_TIMEOUT_S = 2.0
"""How long the store may take to answer when somebody asks whether the node is ready, seconds."""
DATABASE_GRACE_S = 30.0
"""How long a database that all nodes share may be away before a node says that it is not ready,
seconds: longer than a failover or a frozen primary, so that balancers do not lose all nodes."""
_CHECKED_COLLECTION = "_bolide_ready"  # there is none of this name; what counts is the answer

MOVED = "The server takes no more sessions; connect again"
"""Why a session ends when its node drains."""

CLEAN_UP_EVERY_S = 3600.0
"""How often calls are forgotten that nobody will repeat, seconds."""

SHUTDOWN_GRACE_S = 10.0
"""How long running methods and jobs may take to end when the node stops, seconds."""


class Node:
    """Serves an app from a store.

    Args:
        app: What to serve.
        store: Not open yet.
        settings: Timeouts and limits; defaults if None.
        clock: The time; the system's if None.
        build_id: Told to clients that know our extensions.
    """

    def __init__(
        self,
        app: App,
        store: Store,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        build_id: str = "",
    ) -> None:
        """Prepare the node; :meth:`start` begins its work."""
        self.app = app
        self.store = store
        self.settings = settings or Settings()
        self.limits = self.settings.limits
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics()
        self._build_id = build_id
        self.broadcast: Broadcast | None = None
        """The way to the other nodes; None if the app has nothing for them."""
        self.redis: NodeRedis | None = None
        self._services: Services | None = None
        self._drivers: set[SessionDriver] = set()
        self._is_stopping = False
        self._is_draining = False
        self._troubled_since: float | None = None
        self._lateness: Lateness | None = None
        self._started_at: float | None = None
        self._next_clean_up: Timer | None = None
        self._jobs: JobRunner | None = None
        self._access_changes: AccessChanges | None = None
        self._log = structlog.get_logger("bolide.node")

    async def start(self) -> None:
        """Open the store, run the start-up hooks and take sessions.

        Raises:
            ConfigurationError: If the store cannot be used, or the setting of Redis cannot work;
                a Redis that is away is waited for while the node runs.
        """
        self._started_at = self.clock.now()
        own = (CALLS, MESSAGES) if self.app.broadcasts else (CALLS,)
        self.store.declare({*self.app.collection_names, *own})
        redis_address = address_of(self.settings)
        await self.store.open()
        try:
            self.app.attach(self.store)
        except BaseException:
            # Another node serves the app; it keeps its store.
            await self.store.close()
            raise
        try:
            turn = Turn()
            live_queries = LiveQueries(
                self.store,
                turn,
                limits=self.limits,
                clock=self.clock,
                metrics=self.metrics,
                poll_interval_s=self.settings.poll_interval_s,
            )
            self.metrics.live_queries.set_function(lambda: len(live_queries))
            self.metrics.polled_queries.set_function(
                lambda: sum(one.is_polled for one in live_queries)
            )
            store = self.store
            if isinstance(store, HeldInMemory):
                self.metrics.store_bytes.set_function(lambda: store.document_bytes)
            if isinstance(store, HasFeedHealth):
                self.metrics.watch_feed(store.feed_health)
                self._lateness = Lateness(store.feed_health, self.clock, self._tell_lateness)
            self._services = Services(
                app=self.app,
                live_queries=live_queries,
                calls=Calls(self.store, live_queries, self.clock, self.settings),
                turn=turn,
                clock=self.clock,
                limits=self.limits,
                settings=self.settings,
                metrics=self.metrics,
                rate_limiter=RateLimiter(self.app.rate_limits, self.clock.now()),
                build_id=self._build_id,
                log=structlog.get_logger("bolide.session"),
            )
            if redis_address is not None:
                await self._open_redis(redis_address, self._services)
            self.app.watch_access(self._access_changed)
            if self.app.broadcasts:
                await self._open_broadcast(self._services)
            await self.app.run_startup_hooks()
            self._jobs = JobRunner(
                self.app.jobs, self.store, self.clock, self.settings.job_lease_s, self.metrics
            )
            self._jobs.start()
            self._services.spawn(self._forget_old_calls())
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close the sessions, let methods and jobs end, and close the store."""
        self._is_stopping = True
        if self._lateness is not None:
            self._lateness.close()
        self.app.unwatch_access(self._access_changed)
        if self._access_changes is not None:
            self._access_changes.close()
        if self._next_clean_up is not None:
            self._next_clean_up.cancel()
        jobs_end = asyncio.create_task(self._end_jobs())
        for driver in tuple(self._drivers):
            driver.close("The server is shutting down")
        for driver in tuple(self._drivers):
            await driver.ended.wait()  # at the end of this turn of the loop
        if self._services is not None:
            await self._end_tasks(self._services.tasks)
        await jobs_end
        if self._services is not None:
            self._services.live_queries.close()
            if self._services.channels is not None:
                self._services.channels.close()
            if self._services.presence is not None:
                self._services.presence.close()
            self._services = None
        self.app.detach()
        if self.broadcast is not None:
            await self.broadcast.close()
        if self.redis is not None:
            await self.redis.close()
            self.redis = None
        await self.store.close()

    def drain(self, within_s: float) -> None:
        """Take no new sessions, let those that are open go elsewhere, and begin no more jobs.

        Clients that know how are asked to move at once; the others are closed, spread evenly over
        the time, and whoever is still there at its end.

        Args:
            within_s: The time it may take, seconds.
        """
        if self._is_draining:
            return
        self._is_draining = True
        if self._jobs is not None:
            self._jobs.drain()
        self._log.info("draining", sessions=len(self._drivers), within_s=within_s)
        movable = {d for d in self._drivers if d.session.speaks_bolide}
        for driver in movable:
            driver.move(within_s)
        plain = [driver for driver in self._drivers if driver not in movable]
        now = self.clock.now()
        for number, driver in enumerate(plain, start=1):
            self.clock.call_at(now + within_s * number / len(plain), partial(driver.close, MOVED))
        self.clock.call_at(now + within_s, self._close_sessions)

    def open_session(
        self,
        transport: Transport,
        *,
        client_address: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> SessionDriver:
        """Begin a session on an accepted socket.

        Args:
            transport: The socket.
            client_address: The peer's address, None if unknown.
            headers: Those of the handshake; only some are kept.

        Raises:
            StateError: If the node takes no sessions.
        """
        if self._services is None or self._is_stopping or self._is_draining:
            raise StateError("The node takes no sessions.")
        visible = {
            name.lower(): value
            for name, value in (headers or {}).items()
            if name.lower() in VISIBLE_HEADERS
        }
        driver = SessionDriver(
            self._services,
            transport,
            session_id=random_id(),
            client_address=client_address,
            headers=visible,
        )
        self._drivers.add(driver)
        driver.ended.call(partial(self._drivers.discard, driver))
        if self._services.presence is not None:
            driver.ended.call(partial(self._services.presence.session_ended, driver.info.id))
        return driver

    @property
    def services(self) -> Services:
        """What its sessions share.

        Raises:
            StateError: If it does not run.
        """
        if self._services is None:
            raise StateError("The node does not run.")
        return self._services

    @property
    def broadcast_state(self) -> BroadcastState | None:
        """How its channels and its presence are; None if the app has neither."""
        services = self.services
        if self.broadcast is None or services.channels is None or services.presence is None:
            return None
        return state_of(self.broadcast, services.channels, services.presence)

    @property
    def build_id(self) -> str:
        """What clients are told of the build."""
        return self._build_id

    @property
    def uptime_s(self) -> float:
        """Time since it began to start, seconds; 0 before."""
        return 0.0 if self._started_at is None else self.clock.now() - self._started_at

    @property
    def is_draining(self) -> bool:
        """It takes no more sessions, and lets those that are open go elsewhere."""
        return self._is_draining

    @property
    def is_ready(self) -> bool:
        """It takes sessions."""
        return self._services is not None and not self._is_stopping and not self._is_draining

    async def check_ready(self) -> bool:
        """Tell whether it takes sessions, and its store answers soon and can be written to.

        The store has :data:`CHECK_TIMEOUT_S` for its answer. A database that all nodes share may
        be away for :data:`DATABASE_GRACE_S`: a failover is no reason to send clients elsewhere.
        """
        if not self.is_ready:
            return False
        if await self._store_works():
            self._troubled_since = None
            return True
        now = self.clock.now()
        if self._troubled_since is None:
            self._troubled_since = now
        is_shared = isinstance(self.store, HasFeedHealth)
        return is_shared and now - self._troubled_since < DATABASE_GRACE_S

    async def _store_works(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await self.store.read(Query(collection=_CHECKED_COLLECTION, limit=1))
        except Exception as error:
            log_failure(self._log, error, check="store")
            return False
        return not (isinstance(self.store, Blockable) and self.store.blocked_because)

    @property
    def jobs(self) -> tuple[JobStatistics, ...]:
        """What is known of each job, in the order they were registered."""
        return () if self._jobs is None else self._jobs.statistics()

    @property
    def sessions(self) -> frozenset[SessionDriver]:
        """The sessions whose sockets are open."""
        return frozenset(self._drivers)

    @property
    def session_count(self) -> int:
        """How many sockets have a session."""
        return len(self._drivers)

    async def _open_broadcast(self, services: Services) -> None:
        """Let channels reach the other nodes."""
        broadcast: Broadcast | None = self.redis.broadcast if self.redis is not None else None
        if broadcast is None:
            broadcast = make_broadcast(self.store, self.clock, self.settings)
        self.broadcast = broadcast
        hub = services.channels = ChannelHub(broadcast, self.clock, self.limits, self.metrics)
        presence = services.presence = PresenceHub(
            broadcast, services.turn, self.clock, self.limits, self.settings.presence_lease_s
        )
        self.app.attach_channels(hub, presence)
        changes = AccessChanges(broadcast, self._ask_again, self.clock)
        await broadcast.open()
        self._access_changes = changes
        presence.start()
        self.metrics.registry.register(BroadcastSeries(broadcast, presence))

    def _tell_lateness(self) -> None:
        """Tell all clients whether what they show may be late."""
        services, lateness = self._services, self._lateness
        if services is not None and lateness is not None:
            services.late_because = lateness.because
            for driver in tuple(self._drivers):
                driver.late(lateness.because)

    def _close_sessions(self) -> None:
        for driver in tuple(self._drivers):
            driver.close(MOVED)

    async def _forget_old_calls(self) -> None:
        """Forget calls that nobody will repeat, now and again in a while."""
        services = self._services
        if services is None:
            return
        try:
            await services.calls.forget_old()
        except Exception as error:  # the store is away: next time
            log_failure(self._log, error, task="forget old calls")
        self._next_clean_up = self.clock.call_at(
            self.clock.now() + CLEAN_UP_EVERY_S, lambda: services.spawn(self._forget_old_calls())
        )

    async def _open_redis(self, address: RedisAddress, services: Services) -> None:
        # Its driver comes with an extra.
        from bolide.server.redis.node_redis import NodeRedis

        self.redis = NodeRedis(
            address,
            self.settings.redis_stream,
            await shared_secret(self.store),
            limiter=services.rate_limiter,
            hinted=services.live_queries.hinted,
            declared=lambda: self.app.collection_names,
            broadcasts=self.app.broadcasts,
            limits=self.limits,
            clock=self.clock,
            metrics=self.metrics,
        )
        await self.redis.open()

    def _access_changed(self, user_id: str | None) -> None:
        """Learn from the app that permissions changed."""
        self._ask_again(user_id)
        if self._access_changes is not None:
            self._access_changes.tell(user_id)

    def _ask_again(self, user_id: str | None) -> None:
        for driver in tuple(self._drivers):
            try:
                driver.access_changed(user_id)
            except Exception as error:  # nobody keeps what was taken away: neither it nor others
                log_failure(self._log, error, task="access changed")
                driver.close("The server failed; connect again")

    async def _end_jobs(self) -> None:
        if self._jobs is not None:
            await self._jobs.stop(SHUTDOWN_GRACE_S)

    async def _end_tasks(self, tasks: set[asyncio.Task[None]]) -> None:
        """Wait for methods to end, then cancel what is left."""
        if tasks:
            await asyncio.wait(tuple(tasks), timeout=SHUTDOWN_GRACE_S)
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
