"""Test an application: connect clients to it without sockets, and own the time.

See ``docs/reference/testing.md``.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from bolide.core.ddp.codec import parse_server_message, serialize
from bolide.core.ddp.messages import (
    Added,
    CallId,
    Changed,
    ClientMessage,
    Connect,
    Connected,
    Failed,
    Method,
    Nosub,
    Ping,
    Pong,
    Ready,
    Removed,
    Result,
    ServerMessage,
    Sub,
    Unsub,
    Updated,
    WireError,
)
from bolide.core.errors import MethodError
from bolide.core.keys import Key, key_of
from bolide.core.values import UNDEFINED, Document
from bolide.server.app import App
from bolide.server.clock import Timer
from bolide.server.limits import Limits
from bolide.server.node import Node
from bolide.server.sessions.driver import SessionDriver
from bolide.server.sessions.transport import PLAIN, Framing
from bolide.server.settings import Settings
from bolide.server.stores.base import Store
from bolide.server.stores.memory import MemoryStore

__all__ = ["FakeClock", "TestClient", "TestNode", "TestSocket", "TestSubscription"]

_QUIET_TURNS = 30
"""Turns of the event loop without anything new, after which nothing is on its way."""

_Message = TypeVar("_Message", bound=ServerMessage)


class FakeClock:
    """A clock that stands still until it is told to go on.

    Args:
        now: Monotonic time at the start, seconds.
    """

    __test__ = False

    def __init__(self, now: float = 0.0) -> None:
        """Stand at a time."""
        self._now = now
        self._order = itertools.count()
        self._due: list[tuple[float, int, _FakeTimer]] = []

    def now(self) -> float:
        """Return monotonic time, seconds."""
        return self._now

    def wall_ms(self) -> int:
        """Return the time of day, UTC milliseconds since 1970; 0 at the clock's own 0."""
        return round(self._now * 1000)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` once :meth:`advance` has come to ``when``, seconds."""
        timer = _FakeTimer(callback)
        heapq.heappush(self._due, (when, next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let time pass; what becomes due runs in order, with all its consequences."""
        end = self._now + seconds
        while self._due and self._due[0][0] <= end:
            when, _, timer = heapq.heappop(self._due)
            self._now = max(self._now, when)
            timer.run()
            await _turns(_QUIET_TURNS)
        self._now = end
        await _turns(_QUIET_TURNS)


class _FakeTimer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self._callback = None

    def run(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


async def _turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class TestSocket:
    """A socket whose other end is the test.

    Attributes:
        frames: Every message that reached the test, as JSON text, oldest first.
        writes: How many writes these came in.
        close_reason: Why the server closed it; None while it is open.
        was_at_fault: The server says that we broke a rule.
        on_frames: Called with the messages of each write.
        framing: Messages are sent as they are.
        room_bytes: What it takes while it is stalled before it says that it is full.
    """

    __test__ = False

    def __init__(self) -> None:
        """Wait to be given to a session."""
        self.frames: list[str] = []
        self.writes = 0
        self.close_reason: str | None = None
        self.was_at_fault = False
        self.on_frames: Callable[[Sequence[str]], object] = lambda frames: None
        self.framing: Framing = PLAIN
        self.room_bytes = 0
        self._driver: SessionDriver | None = None
        self._news = asyncio.Event()
        self._is_stalled = False
        self._is_full = False
        self._waiting: list[bytes] = []
        self._passed = b""

    @property
    def waiting_bytes(self) -> int:
        """What was sent and did not reach the test yet, bytes."""
        return sum(map(len, self._waiting))

    def stall(self) -> None:
        """Read nothing, like a client whose line is dead; what is sent waits in the socket."""
        self._is_stalled = True

    def drain(self) -> None:
        """Read again: take what waits, and tell the server that there is room."""
        self._is_stalled = False
        self._take()
        if self._is_full:
            self._is_full = False
            self.driver.writing_resumed()

    def let_pass(self, max_bytes: int) -> None:
        """Take a little of what waits while it is stalled, whole messages or a part of one."""
        while self._waiting and max_bytes > 0:
            first = self._waiting[0]
            self._waiting[0] = first[max_bytes:]
            self._passed += first[:max_bytes]
            max_bytes -= len(first)
            if not self._waiting[0]:
                del self._waiting[0]
                message, self._passed = self._passed, b""
                self._receive([message])

    def send(self, packets: Sequence[bytes]) -> None:
        """Take messages of the server."""
        self._waiting.extend(packets)
        if not self._is_stalled:
            self._take()
        elif not self._is_full and self.waiting_bytes > self.room_bytes:
            self._is_full = True
            self.driver.writing_paused()

    def _take(self) -> None:
        packets, self._waiting = self._waiting, []
        if packets:
            packets[0] = self._passed + packets[0]
            self._passed = b""
            self._receive(packets)

    def _receive(self, packets: Sequence[bytes]) -> None:
        messages = [packet.decode() for packet in packets]
        self.frames.extend(messages)
        self.writes += 1
        self._news.set()
        self.on_frames(messages)

    def close(self, reason: str, *, at_fault: bool = False) -> None:
        """Learn that the server closed the session."""
        self.close_reason = reason
        self.was_at_fault = at_fault
        self._news.set()

    def attach(self, driver: SessionDriver) -> None:
        """Give it to a session."""
        self._driver = driver

    def send_frame(self, frame: str) -> None:
        """Send a text to the server, whatever it is."""
        self.driver.receive_frame(frame)

    def disconnect(self) -> None:
        """Go away without a word."""
        self.driver.disconnected()

    @property
    def driver(self) -> SessionDriver:
        """The session's driver on the server."""
        assert self._driver is not None
        return self._driver

    async def news(self) -> None:
        """Wait until something came since the last call."""
        await self._news.wait()
        self._news.clear()


class TestSubscription:
    """A subscription of a test's client.

    Attributes:
        id: As sent to the server.
        error: Why the server ended it; None while it did not.
        is_stopped: It ended, by whomever.
    """

    __test__ = False

    def __init__(self, client: "TestClient", id: str) -> None:
        """Remember whose it is."""
        self.id = id
        self.error: MethodError | None = None
        self.is_ready = False
        self.is_stopped = False
        self._client = client

    async def stop(self) -> None:
        """End it; its documents are gone when this returns."""
        self._client.send(Unsub(self.id))
        await self._client.wait_for(lambda: self.is_stopped)


class TestClient:
    """A client without a socket, that checks the protocol as it goes.

    Attributes:
        messages: Every message received, oldest first.
        answers_pings: It proves alive when asked; False: the server gives it up after a while.
    """

    __test__ = False

    def __init__(self, socket: TestSocket) -> None:
        """Speak over a socket that has a session."""
        self.socket = socket
        self.socket.on_frames = self._answer_pings
        self.answers_pings = True
        self.messages: list[ServerMessage] = []
        self._views: dict[str, dict[Key, Document]] = {}
        self._subscriptions: dict[str, TestSubscription] = {}
        self._results: dict[str, Result] = {}
        self._updated: set[str] = set()
        self._read = 0
        self._seen: dict[str, int] = {}
        self._ids = map(str, itertools.count(1))

    async def subscribe(self, name: str, *args: Any) -> TestSubscription:
        """Subscribe and wait until the first documents are there.

        Raises:
            MethodError: If the server says no.
        """
        subscription = self.start_subscription(name, *args)
        await self.wait_for(lambda: subscription.is_ready or subscription.is_stopped)
        if subscription.error is not None:
            raise subscription.error
        return subscription

    def start_subscription(self, name: str, *args: Any) -> TestSubscription:
        """Subscribe, without waiting for anything."""
        id = next(self._ids)
        self.send(Sub(id, name, args))
        return self._subscriptions[id]

    async def call(
        self, name: str, *args: Any, random_seed: str | None = None, call: CallId | None = None
    ) -> Any:
        """Call a method; returns after ``result`` and ``updated``.

        Args:
            name: The method.
            args: Its arguments.
            random_seed: Seed of its random streams.
            call: Under which it runs at most once.

        Raises:
            MethodError: As the server answers it.
        """
        id = next(self._ids)
        self.send(Method(id, name, args, random_seed, call))
        await self.wait_for(lambda: id in self._results and id in self._updated)
        result = self._results[id]
        if result.error is not None:
            raise _method_error(result.error)
        return None if result.result is UNDEFINED else result.result

    def documents(self, collection: str) -> list[Document]:
        """Return what the client shows now, in order of arrival."""
        self._take_news()
        return list(self._views.get(collection, {}).values())

    def document(self, collection: str, id: Any) -> Document | None:
        """Return one document that the client shows, or None."""
        self._take_news()
        return self._views.get(collection, {}).get(key_of(id))

    def hold(self, collection: str, documents: Mapping[Any, Mapping[str, Any]]) -> None:
        """Show documents of a former session, before a resync tells what became of them.

        Args:
            collection: Name of the collection.
            documents: ``_id`` -> fields.
        """
        view = self._views.setdefault(collection, {})
        view.update({key_of(id): {"_id": id, **fields} for id, fields in documents.items()})

    async def received(self, kind: type[_Message], timeout_s: float = 30.0) -> _Message:
        """Return the next message of a class, after those that were waited for before."""
        number = self._seen.get(kind.__name__, 0)
        found: list[_Message] = []

        def has_it() -> bool:
            found[:] = [message for message in self.messages if isinstance(message, kind)]
            return len(found) > number

        await self.wait_for(has_it, timeout_s)
        self._seen[kind.__name__] = number + 1
        return found[number]

    async def published(self) -> None:
        """Wait until every publication has run, universal ones and those that ran again too."""
        await self.socket.driver.runs.published()

    @property
    def close_reason(self) -> str | None:
        """Why the server closed the session; None while it is open."""
        return self.socket.close_reason

    async def close(self) -> None:
        """Go away."""
        self.socket.disconnect()
        await self.socket.driver.ended.wait()

    def send(self, message: ClientMessage) -> None:
        """Send a message as it is."""
        if isinstance(message, Sub):
            self._subscriptions[message.id] = TestSubscription(self, message.id)
        self.socket.send_frame(serialize(message, bolide=True))

    async def wait_for(self, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait until a condition holds, looking after each message.

        Raises:
            AssertionError: If it does not hold in time, or the session was closed before.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not self._holds(condition):
                    assert self.close_reason is None, f"closed: {self.close_reason}"
                    await self.socket.news()
        except TimeoutError:
            kinds = [type(message).__name__ for message in self.messages[-10:]]
            raise AssertionError(f"nothing came in {timeout_s} s; the last were {kinds}") from None

    def _answer_pings(self, frames: Sequence[str]) -> None:
        # The server is sending just now: the answer comes in a turn of its own.
        for frame in frames:
            if self.answers_pings and isinstance(ping := parse_server_message(frame), Ping):
                asyncio.get_running_loop().call_soon(self.send, Pong(ping.id))

    def _holds(self, condition: Callable[[], bool]) -> bool:
        self._take_news()
        return condition()

    def _take_news(self) -> None:
        new = self.socket.frames[self._read :]
        self._read += len(new)
        for frame in new:
            message = parse_server_message(frame)
            assert message is not None, "the server sent a message that no client knows"
            self.messages.append(message)
            self._take(message)

    def _take(self, message: ServerMessage) -> None:
        match message:
            case Added() | Changed() | Removed():
                self._change(message)
            case Ready():
                for id in message.subs:
                    self._subscriptions[id].is_ready = True
            case Nosub():
                subscription = self._subscriptions[message.id]
                subscription.is_stopped = True
                if message.error is not None:
                    subscription.error = _method_error(message.error)
            case Result():
                assert message.id not in self._results, "two results for one call"
                self._results[message.id] = message
            case Updated():
                self._updated.update(message.methods)
            case _:
                pass

    def _change(self, message: Added | Changed | Removed) -> None:
        view = self._views.setdefault(message.collection, {})
        key = key_of(message.id)
        what = f"{type(message).__name__} in {message.collection}"
        if isinstance(message, Added) and message.replace:
            assert key in view, f"{what}: the client does not hold what is replaced"
            view[key] = {"_id": message.id, **message.fields}
            return
        if isinstance(message, Added):
            assert key not in view, f"{what}: the client holds the document already"
            view[key] = {"_id": message.id, **message.fields}
            return
        assert key in view, f"{what}: the client does not hold the document"
        if isinstance(message, Removed):
            del view[key]
            return
        document = {**view[key], **message.fields}
        view[key] = {k: value for k, value in document.items() if k not in message.cleared}


class TestNode:
    """The node of an app, for a test; an asynchronous context manager.

    Args:
        app: What to test.
        store: A fresh ``MemoryStore`` if None.
        clock: A ``FakeClock`` at 0 if None.
        limits: Those of the settings if None.
        settings: Those of the app if None, or the defaults.
    """

    __test__ = False

    def __init__(
        self,
        app: App,
        *,
        store: Store | None = None,
        clock: FakeClock | None = None,
        limits: Limits | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Prepare the node; it starts with the block."""
        self.app = app
        self.store: Store = store or MemoryStore()
        self.clock = clock or FakeClock()
        settings = settings or app.settings or Settings()
        if limits is not None:
            settings = replace(settings, limits=limits)
        self.node = Node(app, self.store, clock=self.clock, settings=settings)

    async def __aenter__(self) -> Self:
        await self.node.start()
        # Jobs are to count from now, not from when the test first waits for something.
        await self.clock.advance(0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.node.stop()

    async def connect(
        self,
        *,
        address: str = "127.0.0.1",
        headers: Mapping[str, str] | None = None,
        support: Sequence[str] = ("1",),
        bolide: bool = False,
        user_id: str | None = None,
    ) -> TestClient:
        """Connect a client.

        Args:
            address: The client's, as the app sees it.
            headers: Of the handshake.
            support: Versions of DDP; the first is the one it speaks.
            bolide: Ask for our extensions.
            user_id: Who is logged in from the beginning; None for nobody.

        Raises:
            ConnectionRefusedError: If the node answers ``failed``.
        """
        client = TestClient(self.open_socket(address=address, headers=headers))
        client.socket.driver.user_id = user_id
        client.send(Connect(support[0], tuple(support), bolide={} if bolide else None))
        await client.wait_for(
            lambda: any(isinstance(message, Connected | Failed) for message in client.messages)
        )
        if isinstance(client.messages[0], Failed):
            raise ConnectionRefusedError(f"the node speaks {client.messages[0].version}")
        return client

    def open_socket(
        self, *, address: str = "127.0.0.1", headers: Mapping[str, str] | None = None
    ) -> TestSocket:
        """Open a socket that has sent nothing yet."""
        socket = TestSocket()
        socket.attach(self.node.open_session(socket, client_address=address, headers=headers))
        return socket

    async def settle(self) -> None:
        """Wait until nothing is left to do but for handlers that wait for something else."""
        await self.node.services.live_queries.idle()
        await _turns(_QUIET_TURNS)
        await self.node.services.live_queries.idle()
        await _turns(_QUIET_TURNS)


def _method_error(error: WireError) -> MethodError:
    code = error.error
    return MethodError(code if isinstance(code, str) else int(code), error.reason, error.details)
