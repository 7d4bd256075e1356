"""What the sessions of one node share."""

import asyncio
import contextvars
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from structlog.typing import FilteringBoundLogger

from bolide.server.app import App
from bolide.server.channels.hub import ChannelHub
from bolide.server.clock import Clock
from bolide.server.limits import Limits
from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.methods.calls import Calls
from bolide.server.presence.hub import PresenceHub
from bolide.server.publications.registry import Publication
from bolide.server.sessions.ratelimit import RateLimiter
from bolide.server.settings import Settings
from bolide.server.telemetry.metrics import Metrics
from bolide.server.turn import Turn

__all__ = ["Services"]


@dataclass(slots=True, kw_only=True)
class Services:
    """The node, as far as a session needs it.

    Attributes:
        app: Publications, methods and collections.
        live_queries: What cursors are followed with.
        calls: Which calls ran.
        turn: What is put off to the end of a turn of the event loop.
        clock: The time.
        limits: What one session may use.
        settings: Timeouts.
        metrics: What is counted.
        rate_limiter: Who asked how often.
        build_id: Told to clients that know our extensions.
        log: Of the node.
        channels: Who listens to what; None if the app has no channels.
        late_because: Why everything may be late, in words; empty: it is in time.
        presence: Who is where; None if the app has neither channels nor presences.
        tasks: What runs.
        unready_publications: Those that are never ready, and were told of.
    """

    app: App
    live_queries: LiveQueries
    calls: Calls
    turn: Turn
    clock: Clock
    limits: Limits
    settings: Settings
    metrics: Metrics
    rate_limiter: RateLimiter
    build_id: str
    log: FilteringBoundLogger
    channels: ChannelHub | None = None
    presence: PresenceHub | None = None
    late_because: str = ""
    tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    unready_publications: set[Publication] = field(default_factory=set[Publication])
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    # A task of its own context: started from inside a method, it must not inherit its decision.
    _context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work as :meth:`spawn` does; at its end it takes its task out of ``tasks`` itself."""
        # No factory of the loop: a task that began at once would end before it is known.
        task = asyncio.Task(work, loop=self._loop, context=self._context.copy())
        self.tasks.add(task)
        return task

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work beside everything else, outside any invocation; it must not raise."""
        task = self.begin(work)
        task.add_done_callback(self.tasks.discard)
        return task
