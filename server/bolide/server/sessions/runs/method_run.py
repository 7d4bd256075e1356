"""One call of a method: the handler's task, its answer, its fence."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from bolide.core.ddp.random import SeededStreams
from bolide.core.errors import LocalProtocolError, MethodError
from bolide.core.values import normalize
from bolide.server.access.claim import Claim
from bolide.server.access.fence import Fence
from bolide.server.access.invocation import Invocation, current, entered
from bolide.server.context import Context
from bolide.server.methods.calls import call_content
from bolide.server.methods.errors import log_failure, wire_error
from bolide.server.methods.registry import Method
from bolide.server.methods.result_size import ResultTooLarge
from bolide.server.methods.results import result_value
from bolide.server.random_ids import random_seed
from bolide.server.sessions.events import MethodRequested
from bolide.server.sessions.session import SessionState

if TYPE_CHECKING:
    from bolide.server.sessions.driver import SessionDriver

__all__ = ["MethodRun"]

_NESTED_SEED_DIGITS = 20  # as Meteor's makeRpcSeed


class MethodRun:
    """Runs a method for one session; it is the host of the handler's context.

    Args:
        driver: The session's driver.
        request: What the client asked for.
    """

    __slots__ = ("_driver", "_fence", "_method", "_request", "_started_at", "_task", "_work")

    _task: asyncio.Task[None]

    def __init__(self, driver: "SessionDriver", request: MethodRequested) -> None:
        """Prepare the call; :meth:`start` begins it."""
        self._driver = driver
        self._request = request
        self._work = request.work
        self._method = driver.services.app.methods.find(request.name)
        self._started_at = 0.0
        self._fence = Fence()

    @property
    def name(self) -> str:
        """The method's name, for the log; no name the client made up."""
        return self._method.name if self._method else "(unknown)"

    def start(self) -> None:
        """Run the method."""
        services = self._driver.services
        self._started_at = services.clock.now()
        self._driver.method_begins(self, self._started_at)
        self._task = services.begin(self._run())

    def take_long(self) -> None:
        """Let the queue go on without the method; stopping it could lose half of what it does."""
        driver = self._driver
        limit = driver.services.settings.method_timeout_s
        driver.log.warning("method takes long", method=self.name, limit_s=limit)
        driver.session.finish(self._work)
        driver.pump()

    # The host of the handler's context

    def unblock(self) -> None:
        """Let the session's queue go on."""
        self._driver.session.unblock(self._work)
        self._driver.pump()

    def upholds(self, invocation: Invocation) -> bool:
        """Tell whether session, user and decisions of the run are still what they were."""
        return self._driver.upholds(invocation)

    async def set_user_id(self, user_id: str | None) -> None:
        """Change who is logged in; every publication runs again."""
        if self._work.was_unblocked:
            raise LocalProtocolError("Can't call set_user_id in a method after calling unblock")
        if not self._work.is_blocking:
            raise LocalProtocolError("Can't call set_user_id after the method ended or timed out")
        await self._driver.change_user(user_id)

    async def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Call another method as a part of this one."""
        method = self._driver.services.app.methods.find(name)
        if method is None:
            raise MethodError(404, f"Method '{name}' not found")
        enclosing = current()
        assert enclosing is not None
        assert enclosing.random is not None
        seed = enclosing.random.stream(f"/rpc/{name}").hex(_NESTED_SEED_DIGITS)
        invocation = Invocation(
            "method",
            name,
            user_id=enclosing.user_id,
            session=self._driver.info,
            is_decided=method.is_public,
            fence=enclosing.fence,
            random=SeededStreams(seed),
            claim=enclosing.claim,
        )
        try:
            return await self._invoke(method, [normalize(one) for one in args], invocation)
        finally:
            enclosing.user_id = invocation.user_id

    # Inside

    async def _run(self) -> None:
        driver, work = self._driver, self._work
        session = driver.session
        outcome = "ok"
        try:
            try:
                value = await self._answer()
                session.result(work, value)
            except Exception as error:
                outcome = "error"
                self._fail(error)
            except asyncio.CancelledError:  # the handler cancelled itself, or the node ends
                outcome = "cancelled"
                self._fail(RuntimeError("the method was cancelled"))
            self._observe(outcome)
            driver.method_ends(self)
            session.finish(work)
            if self._fence and session.state is not SessionState.CLOSED:
                driver.pump()
                await self._settle()
            session.updated(work)
            driver.pump()
        finally:
            driver.services.tasks.discard(self._task)

    def _answer(self) -> Awaitable[Any]:
        method, request = self._method, self._request
        if method is None:
            raise MethodError(404, f"Method '{request.name}' not found")
        self._driver.check_rate("method", method.name)
        if request.call is None:
            return self._invoke(method, request.params, self._invocation(method, None))
        content = call_content(self._driver.user_id, method.name, request.params)
        return self._driver.services.calls.once(
            request.call,
            content,
            self._fence,
            lambda claim: self._invoke(method, request.params, self._invocation(method, claim)),
        )

    def _invocation(self, method: Method, claim: Claim | None) -> Invocation:
        return Invocation(
            "method",
            method.name,
            user_id=self._driver.user_id,
            session=self._driver.info,
            is_decided=method.is_public,
            fence=self._fence,
            random=SeededStreams(self._request.random_seed or random_seed),
            claim=claim,
        )

    async def _invoke(self, method: Method, params: Sequence[Any], invocation: Invocation) -> Any:
        arguments = method.arguments.bind(params)
        app = self._driver.services.app
        context = Context(invocation, self, app.authorize, app.access_of)
        with entered(invocation):
            value = await method.handler(context, *arguments)
        invocation.check_exit("returned a result")
        return result_value(method.name, value)

    def _fail(self, error: Exception) -> None:
        log_failure(self._driver.log, error, method=self.name)
        session = self._driver.session
        try:
            session.result(self._work, error=wire_error(error))
        except ResultTooLarge as too_large:  # it has large details
            session.result(self._work, error=wire_error(too_large))

    async def _settle(self) -> None:
        """Wait until every live query of this node shows what was written."""
        if not self._fence:
            return
        services = self._driver.services
        started_at = services.clock.now()
        try:
            await self._fence.known()
            await services.live_queries.settle(self._fence)
        except Exception as error:  # the store was closed while we waited
            log_failure(self._driver.log, error, method=self.name)
        services.metrics.fence_seconds.labels().observe(services.clock.now() - started_at)

    def _observe(self, outcome: str) -> None:
        services = self._driver.services
        services.metrics.method_seconds.labels(self.name, outcome).observe(
            services.clock.now() - self._started_at
        )
