"""A client: one conversation, what it brought, and the tasks that wait for its answers.

The shell of :mod:`bolide.client.ddp.conversation`; all of it runs on one event loop.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, TypeVar

from bolide.client.channel import Channel
from bolide.client.collections.collection import Collection
from bolide.client.collections.local_collection import LocalCollection
from bolide.client.connection.failure import ConnectionFailed
from bolide.client.connection.link import Link, LinkOptions
from bolide.client.connection.status import ConnectionState, Status
from bolide.client.ddp.call_ids import CallIds
from bolide.client.ddp.conversation import Conversation
from bolide.client.events import (
    CallFinished,
    Complaint,
    ConversationEvent,
    DocumentChange,
    GaveUp,
    LateTold,
    MoveAsked,
    PreparationLost,
    SessionOpened,
    SubscriptionEnded,
    SubscriptionReady,
)
from bolide.client.preparation import OnConnect, Preparation
from bolide.client.stubs.simulation import Stub
from bolide.client.stubs.stubs import Stubs
from bolide.client.subscription import Subscription
from bolide.client.subscriptions import Subscriptions
from bolide.core.ddp.messages import WireError
from bolide.core.ddp.random import random_seed
from bolide.core.errors import MethodError, SessionBroken, SessionClosed, StateError

__all__ = ["Client"]

StubT = TypeVar("StubT", bound=Stub)

_logger = logging.getLogger("bolide.client")

# While entering: an attempt that ends at the deadline may still say why.
_GRACE_S = 0.5

_MAX_COMPLAINTS = 100
_PREPARING = "The server has answered, and on_connect has not ended yet."
_LOOK_FIRST = "The call wrote something, and its end is not known; look before you call again."


class Client:
    """A connection to a server that mends itself; made by :func:`bolide.client.connect`.

    Attributes:
        server_build: What the server serves, as it said last; None if it does not tell.
    """

    def __init__(
        self,
        conversation: Conversation,
        options: LinkOptions,
        *,
        call_ids: CallIds | None = None,
        on_connect: OnConnect | None = None,
    ) -> None:
        """Begin without a connection; :meth:`open` starts it.

        Args:
            conversation: What is said; it ``prepares`` if there is ``on_connect``.
            options: How to connect.
            call_ids: What tells calls apart, also after a restart of the program.
            on_connect: Prepares each session.
        """
        self.server_build: str | None = None
        self._first_build: str | None = None
        self._call_ids = call_ids or CallIds()
        self._stubs = Stubs(conversation.limits.max_stub_operations)
        self._conversation = conversation
        self._options = options
        self._link = Link(conversation, options, pump=self._pump, show=self._show)
        self._status = Status(state=ConnectionState.CONNECTING)
        self._status_readers: set[asyncio.Event] = set()
        self._collections: dict[str, LocalCollection] = {}
        self._channels: dict[str, Channel] = {}
        self._named: list[str] = []  # collections that the server sent, in that order
        self._name_readers: set[asyncio.Event] = set()
        self._calls: dict[str, asyncio.Future[CallFinished]] = {}
        self._subscriptions = Subscriptions(conversation, self._pump)
        self._preparation: Preparation | None = None
        if on_connect is not None:
            self._preparation = Preparation(
                on_connect,
                call=self._call_to_prepare,
                done=self._prepared,
                failed=self._preparation_failed,
            )
        self._complaints: set[str] = set()
        self._late_because: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._cause: Exception | None = None

    # The connection.

    @property
    def status(self) -> Status:
        """The connection as it is now."""
        return self._status

    async def statuses(self) -> AsyncGenerator[Status, None]:
        """Yield the present status and then each change; a late reader gets the newest.

        Ends after ``CLOSED`` or ``FAILED``.
        """
        wake = asyncio.Event()
        self._status_readers.add(wake)
        try:
            shown: Status | None = None
            while shown is None or not shown.state.is_final:
                wake.clear()
                if self._status != shown:
                    shown = self._status
                    yield shown
                else:
                    await wake.wait()
        finally:
            self._status_readers.discard(wake)

    def open(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name="bolide.client")

    async def wait_connected(self) -> None:
        """Return when the first session is open.

        Raises:
            ConnectionFailed: If a retry cannot help, or ``connect_timeout_s`` has passed for
                every address.
        """
        loop = asyncio.get_running_loop()
        timeout_s = self._options.connect_timeout_s * len(self._options.addresses)
        deadline = loop.time() + timeout_s
        with suppress(TimeoutError):
            async with (
                asyncio.timeout_at(deadline + _GRACE_S),
                aclosing(self.statuses()) as statuses,
            ):
                async for status in statuses:
                    if status.state is ConnectionState.CONNECTED:
                        return
                    if status.retry_in_s is not None and (
                        self._link.is_hopeless or loop.time() + status.retry_in_s >= deadline
                    ):
                        break
        labels = ", ".join(address.label for address in self._options.addresses)
        raise ConnectionFailed(
            self._status.reason or f"{labels} did not answer within {timeout_s:g} s."
        ) from self._cause or (None if self._preparation is None else self._preparation.failure)

    def reconnect(self) -> None:
        """Make the next attempt now instead of waiting for it."""
        self._link.reconnect()

    async def close(self) -> None:
        """End the connection, and with :class:`SessionClosed` everything that waits."""
        try:
            await self._link.close()
        finally:
            if self._task is not None and not self._task.done():
                self._task.cancel()
                await asyncio.wait([self._task])
            if self._preparation is not None:
                await self._preparation.wait_ended()
            self._end(ConnectionState.CLOSED, None)

    # Methods.

    # Arguments and results are the application's: any values.
    async def call(
        self, name: str, *args: Any, retry: bool = True, call_id: str | None = None
    ) -> Any:
        """Call a method; wait until its result and the data it wrote have arrived.

        Args:
            name: Name of the method.
            *args: Its arguments.
            retry: If the connection is lost before the result came, send it again; False: raise
                ``MethodError("invocation-failed")``.
            call_id: With the same ``client_id``, a call of the same id runs at most once; None for
                a new id.

        Returns:
            What the method returned; None for nothing.

        Raises:
            MethodError: As the server sent it; ``write-outcome-unknown`` if it wrote and may not
                have come to its end.
            SessionBusy: If too many calls are unfinished.
            SessionClosed: If the client is or was closed; SessionBroken if it has failed.
            StateError: In ``on_connect``, whose end it would wait for.
            EJSONError: If an argument is no value; of an integer beyond 64 bits it is a ValueError,
                too.
        """
        self._check_open()
        identity = self._call_ids.identity(call_id)
        seed, writes = self._simulate(name, args)
        request_id = self._conversation.call(
            name, args, retry=retry, identity=identity, random_seed=seed, writes=writes
        )
        return await self._outcome(request_id)

    def stub(self, name: str) -> Callable[[StubT], StubT]:
        """Decorate the function that simulates a method, so that its effect shows at once.

        It is called with a :class:`~bolide.client.Simulation` and the call's arguments, before the
        call is sent. What it writes is shown until the data of the method have come.

        Args:
            name: Name of the method.

        Raises:
            ConfigurationError: If the method has a stub already, or the function is ``async``.
        """

        def add(stub: StubT) -> StubT:
            self._stubs.add(name, stub)
            return stub

        return add

    # Subscriptions.

    async def subscribe(self, name: str, *args: Any) -> Subscription:
        """Subscribe; wait until the initial documents are there.

        Equal subscriptions share one, which ends when the last of them is stopped.

        Args:
            name: Name of the publication.
            *args: Its arguments.

        Raises:
            MethodError: If the server refuses.
            SessionBusy: If there are too many subscriptions.
            SessionClosed: If the client is or was closed; SessionBroken if it has failed.
            StateError: In ``on_connect``, whose end it would wait for.
            EJSONError: If an argument is no value; of an integer beyond 64 bits it is a ValueError,
                too.
        """
        self._check_open()
        subscription = self._subscriptions.acquire(name, args)
        await subscription.wait_ready()
        return subscription

    def collection(self, name: str) -> Collection:
        """Return the local copy of a collection, which may be empty still."""
        return Collection(self._local(name))

    def channel(self, name: str) -> Channel:
        """Return a channel, whose messages come when a subscription listens to it."""
        channel = self._channels.get(name)
        if channel is None:
            most = self._conversation.limits.max_channel_messages
            channel = self._channels[name] = Channel(name, most)
            if self._status.state.is_final:
                channel.close()
        return channel

    async def collection_names(self) -> AsyncGenerator[str, None]:
        """Yield the name of each collection when its first document has arrived, each once.

        For programs that do not know what a publication sends. Ends when the client has ended.
        """
        wake = asyncio.Event()
        self._name_readers.add(wake)
        try:
            told = 0
            while told < len(self._named) or not self._status.state.is_final:
                wake.clear()
                if told < len(self._named):
                    told += 1
                    yield self._named[told - 1]
                else:
                    await wake.wait()
        finally:
            self._name_readers.discard(wake)

    # Inside.

    async def _outcome(self, request_id: str) -> Any:
        """Send what waits, and return the result of a call when it has come."""
        future = asyncio.get_running_loop().create_future()
        self._calls[request_id] = future
        self._pump()
        try:
            outcome: CallFinished = await future
        finally:
            self._calls.pop(request_id, None)
            self._conversation.forget(request_id)
        if outcome.error is not None:
            raise _method_error(outcome.error)
        return outcome.result

    async def _call_to_prepare(self, name: str, args: Sequence[Any]) -> Any:
        return await self._outcome(self._conversation.call_to_prepare(name, args))

    def _prepared(self) -> None:
        if self._conversation.prepared(asyncio.get_running_loop().time()):
            self._link.session_opened()
        self._pump()

    def _preparation_failed(self, reason: str) -> None:
        _logger.warning("%s", reason)
        self._conversation.preparation_failed(reason)
        self._pump()

    def _simulate(
        self, name: str, args: Sequence[Any]
    ) -> tuple[str | None, Sequence[DocumentChange]]:
        """Run the stub of a method, if it has one; return the seed to send, and what it wrote."""
        if name not in self._stubs:
            return None, ()
        seed = random_seed(secrets.token_bytes(10))
        now_ms = time.time_ns() // 1_000_000
        done = self._stubs.simulate(name, args, local=self._local, seed=seed, now_ms=now_ms)
        if done.failure is not None:
            _logger.warning("The stub of %s failed: %s.", name, done.failure)
        return seed, done.writes

    def _local(self, name: str) -> LocalCollection:
        local = self._collections.get(name)
        if local is None:
            local = self._collections[name] = LocalCollection(name)
            if self._status.state.is_final:
                local.close()
        return local

    def _name(self, collection: str) -> None:
        if collection not in self._named:
            self._named.append(collection)
            for wake in self._name_readers:
                wake.set()

    def _interrupt_channels(self) -> None:
        for channel in self._channels.values():
            channel.interrupt()

    def _check_open(self) -> None:
        if self._status.state.is_final:
            raise self._ended_error()
        if self._preparation is not None:
            self._preparation.check_outside()

    def _ended_error(self) -> StateError:
        if self._status.state is ConnectionState.FAILED:
            error = SessionBroken(self._status.reason)
            error.__cause__ = self._cause or ConnectionFailed(self._status.reason or "")
            return error
        return SessionClosed("The client is closed; connect again.")

    async def _run(self) -> None:
        try:
            reason = await self._link.run()
        except Exception as error:
            # Its text may hold data, so it is not logged; it is the cause of all that follows.
            self._cause = error
            reason = f"An internal error ended the client ({type(error).__name__})."
        self._end(ConnectionState.FAILED, reason)

    def _end(self, state: ConnectionState, reason: str | None) -> None:
        if self._status.state.is_final:
            return
        self._show(Status(state=state, reason=reason))
        for future in self._calls.values():
            if not future.done():
                future.set_exception(self._ended_error())
        self._subscriptions.end_all(self._ended_error())
        for local in self._collections.values():
            local.close()
        for channel in self._channels.values():
            channel.close()
        for wake in self._name_readers:
            wake.set()

    def _show(self, status: Status) -> None:
        has_new_build = self.server_build not in (None, self._first_build)
        status = replace(status, has_new_build=has_new_build)
        if status == self._status:
            return
        if status.state is not self._status.state:
            reason = f": {status.reason}" if status.reason else ""
            _logger.info("%s%s", status.state.value, reason)
        self._status = status
        for wake in self._status_readers:
            wake.set()

    def _pump(self) -> None:
        """Hand on what the conversation has to tell and to send."""
        for event in self._conversation.events_received():
            self._handle(event)
        self._link.flush()
        if self._status.state is ConnectionState.CONNECTED:
            self._show(
                replace(
                    self._status,
                    catching_up=self._conversation.is_catching_up,
                    late_because=self._late_because,
                )
            )

    def _handle(self, event: ConversationEvent) -> None:
        match event:
            case DocumentChange():
                self._name(event.collection)
                self._local(event.collection).put(event.document_id, event.document)
                channel = self._channels.get(event.collection)
                if channel is not None and event.document is not None:
                    channel.receive(event.document)
            case CallFinished():
                future = self._calls.get(event.call_id)
                if future is not None and not future.done():
                    future.set_result(event)
            case SubscriptionReady():
                self._subscriptions.ready(event.subscription_id)
            case SubscriptionEnded():
                self._interrupt_channels()
                error = None if event.error is None else _method_error(event.error)
                self._subscriptions.ended(event.subscription_id, error)
            case SessionOpened():
                self._interrupt_channels()
                self._complaints.clear()
                self._late_because = None
                self.server_build = event.build
                self._first_build = self._first_build or event.build
                if self._preparation is None:
                    self._link.session_opened()
                else:
                    self._preparation.begin()
                    if self._status.state is ConnectionState.CONNECTING:
                        self._show(replace(self._status, reason=_PREPARING))
            case PreparationLost():
                if self._preparation is not None:
                    self._preparation.lose()
            case LateTold():
                self._late_because = event.because
            case MoveAsked():
                self._link.move_asked(event.within_s)
            case GaveUp():
                self._link.gave_up(event)
            case Complaint():
                # The server's words may be in them, so it decides how many there are.
                if event.text not in self._complaints and len(self._complaints) < _MAX_COMPLAINTS:
                    self._complaints.add(event.text)
                    _logger.warning("%s", event.text)


def _method_error(error: WireError) -> MethodError:
    name = error.error
    if isinstance(name, float):
        name = int(name) if name.is_integer() else str(name)
    reason = error.reason
    if name == "write-outcome-unknown" and reason is None:
        reason = _LOOK_FIRST
    return MethodError(name, reason, error.details)
