"""The connection of a client: which address is dialled when, and one socket at a time.

A round tries every address once. After a round that gave no session the client waits, as
:class:`Backoff` says; so it does after a session that was lost, beginning with the address that was
lost. A session counts as good when it has lasted, so that a server that accepts clients and drops
them at once is not stormed.

A server that asks for a move gets it without a gap: the next socket is opened while the session
goes on over the present one, and taken at the first moment when no call is unanswered. The session
itself begins after that: two at a time would be two histories of the same documents.
"""

import asyncio
import itertools
import random
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from bolide.client.connection.address import Address
from bolide.client.connection.backoff import Backoff
from bolide.client.connection.cookie_jar import CookieJar
from bolide.client.connection.dial import dial
from bolide.client.connection.failure import Failure, explain, size_fault
from bolide.client.connection.moves import Moves, Plan
from bolide.client.connection.status import ConnectionState, Status
from bolide.client.ddp.conversation import Conversation
from bolide.client.events import GaveUp

__all__ = ["Link", "LinkOptions"]

# A session that was lost sooner counts as a failed attempt.
_GOOD_AFTER_S = 10.0
# A socket that is open and not used is closed by the server's handshake timeout, 10 s.
_MAX_UNUSED_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """How a client connects.

    Attributes:
        addresses: At least one, in the order they are tried.
        headers: HTTP headers of the handshake.
        ssl_context: For ``wss``; None for the system's authorities.
        connect_timeout_s: From the name look-up to ``connected``, seconds.
        backoff: Delays between rounds.
        max_frame_bytes: Size of one frame from the server.
        good_after_s: How long a session must last to count as good, seconds.
    """

    addresses: Sequence[Address]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    ssl_context: ssl.SSLContext | None = None
    connect_timeout_s: float = 10.0
    backoff: Backoff = field(default_factory=Backoff)
    max_frame_bytes: int = 16_777_216
    good_after_s: float = _GOOD_AFTER_S


@dataclass(frozen=True, slots=True)
class _Standby:
    """A socket that is open and not used yet."""

    address: Address
    socket: ClientConnection


class Link:
    """Keeps one conversation connected."""

    def __init__(
        self,
        conversation: Conversation,
        options: LinkOptions,
        *,
        pump: Callable[[], None],
        show: Callable[[Status], None],
    ) -> None:
        """Begin without a connection; :meth:`run` dials.

        Args:
            conversation: What is said over the sockets.
            options: How to connect.
            pump: Called when the conversation may have events; it answers with :meth:`flush`, and
                with :meth:`session_opened` and :meth:`gave_up` for these events.
            show: Called with each new status.
        """
        self.is_hopeless = False
        self._conversation = conversation
        self._options = options
        self._pump = pump
        self._show = show
        self._reason: str | None = None
        self._attempts = 0
        self._socket: ClientConnection | None = None
        self._opened_at: float | None = None
        self._given_up: GaveUp | None = None
        self._over = asyncio.Event()
        self._has_frames = asyncio.Event()
        self._hurry = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._address = options.addresses[0]
        self._cookies = CookieJar()
        self._moves = Moves()
        self._move: asyncio.Task[None] | None = None
        self._quiet = asyncio.Event()  # no call is unanswered
        self._next: _Standby | None = None  # waits until no call is unanswered
        self._standby: _Standby | None = None  # is used when this connection has ended
        self._goodbyes: set[asyncio.Task[None]] = set()

    async def run(self) -> str:
        """Connect, again and again, until it makes no sense any more.

        Returns:
            Why: no address speaks our protocol.
        """
        try:
            return await self._run()
        finally:
            if self._standby is not None:
                self._standby.socket.transport.abort()

    def reconnect(self) -> None:
        """End the waiting, if there is any."""
        self._hurry.set()

    def flush(self) -> None:
        """Send what the conversation has to send, and keep its deadline."""
        self._has_frames.set()
        if self._conversation.has_calls_in_flight:
            self._quiet.clear()
        else:
            self._quiet.set()
            self._go_over()
        deadline = self._conversation.next_deadline()
        if self._timer is not None and (deadline is None or deadline < self._timer.when()):
            self._timer.cancel()
            self._timer = None
        if self._timer is None and deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._tick)

    def session_opened(self) -> None:
        """The server said ``connected``."""
        self._opened_at = asyncio.get_running_loop().time()
        self._reason = None
        self._show(Status(state=ConnectionState.CONNECTED))

    def move_asked(self, within_s: float) -> None:
        """The server asks for another connection."""
        now = asyncio.get_running_loop().time()
        plan = self._moves.asked(within_s, now, random.random())
        if plan is not None and (self._move is None or self._move.done()):
            self._move = asyncio.create_task(self._prepare(plan), name="bolide.client.move")

    def gave_up(self, event: GaveUp) -> None:
        """The conversation wants this connection closed."""
        self._given_up = event
        self._over.set()

    async def close(self) -> None:
        """Say goodbye to the server; :meth:`run` is to be cancelled afterwards."""
        if self._socket is not None:
            await self._socket.close()
        if self._goodbyes:
            await asyncio.wait(self._goodbyes)

    async def _run(self) -> str:
        addresses = self._options.addresses
        position = rounds = 0
        failures: list[Failure] = []
        while True:
            if self._standby is None:
                self._tell(ConnectionState.CONNECTING)
            else:
                position = addresses.index(self._standby.address)
            self._address = addresses[position]
            failure = await self._attempt(self._address)
            if failure is None:
                continue
            if self._was_good():
                failures, rounds, self._attempts = [], 0, 0
            else:
                failures.append(failure)
                self._attempts += 1
                position = (position + 1) % len(addresses)
            self._reason = " ".join(one.reason for one in failures) or failure.reason
            if 0 < len(failures) < len(addresses):
                continue
            if failures and all(one.is_final for one in failures):
                return self._reason
            self.is_hopeless = bool(failures) and all(one.is_lasting for one in failures)
            await self._wait(self._options.backoff.delay_s(rounds, random.random()))
            failures, rounds = [], rounds + 1

    def _tell(self, state: ConnectionState, retry_in_s: float | None = None) -> None:
        self._show(
            Status(state=state, reason=self._reason, retry_in_s=retry_in_s, attempts=self._attempts)
        )

    async def _wait(self, delay_s: float) -> None:
        self._hurry.clear()
        self._tell(ConnectionState.WAITING, delay_s)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), delay_s)

    def _was_good(self) -> bool:
        if self._opened_at is None:
            return False
        lasted_s = asyncio.get_running_loop().time() - self._opened_at
        return lasted_s >= self._options.good_after_s

    async def _attempt(self, address: Address) -> Failure | None:
        """Dial and talk until it is over; None means to go on at once."""
        self._opened_at = None
        timeout_s = self._options.connect_timeout_s
        deadline = asyncio.get_running_loop().time() + timeout_s
        standby, self._standby = self._standby, None
        try:
            socket = await self._dial(address, deadline) if standby is None else standby.socket
        except (OSError, ValueError, WebSocketException) as error:
            return explain(
                error,
                address,
                timeout_s=timeout_s,
                has_authorities=self._options.ssl_context is not None,
                has_headers=bool(self._options.headers),
            )
        ending = await self._talk(socket, deadline)
        event = self._take_given_up()
        if self._standby is not None:
            return None
        if event is None:
            return explain(ending, address, timeout_s=timeout_s)
        if event.tries_next:
            return None
        reason = f"{address.label}: {event.reason}"
        return Failure(reason, is_lasting=event.is_refused, is_final=event.is_refused)

    async def _dial(self, address: Address, deadline: float) -> ClientConnection:
        now = asyncio.get_running_loop().time()
        async with asyncio.timeout_at(deadline):
            socket = await dial(
                address,
                headers=self._cookies.headers(address, self._options.headers, now),
                ssl_context=self._options.ssl_context,
                max_frame_bytes=self._options.max_frame_bytes,
            )
        if socket.response is not None:
            self._cookies.take(address, socket.response.headers.get_all("Set-Cookie"), now)
        return socket

    async def _prepare(self, plan: Plan) -> None:
        """Open the next socket, and end this connection when no call is unanswered."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(plan.start - loop.time())
        for rounds in itertools.count():
            await self._quiet.wait()
            standby = await self._dial_any()
            if standby is not None and await self._goes_over_in_time(standby):
                return
            delay_s = self._options.backoff.delay_s(rounds, random.random())
            if loop.time() + delay_s >= plan.end:
                # The server will close the connection; it is then sought as after any loss.
                return
            await asyncio.sleep(delay_s)

    async def _dial_any(self) -> "_Standby | None":
        """Open a socket to the first address that answers, beginning with the present one."""
        others = [one for one in self._options.addresses if one is not self._address]
        for address in (self._address, *others):
            deadline = asyncio.get_running_loop().time() + self._options.connect_timeout_s
            with suppress(OSError, ValueError, WebSocketException):
                return _Standby(address, await self._dial(address, deadline))
        return None

    async def _goes_over_in_time(self, standby: "_Standby") -> bool:
        """Wait until no call is unanswered; close the socket if that takes too long."""
        self._next = standby
        if not self._conversation.has_calls_in_flight:
            self._go_over()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_MAX_UNUSED_S):
                    await self._over.wait()
        except asyncio.CancelledError:
            if self._standby is not standby:
                standby.socket.transport.abort()
            raise
        finally:
            self._next = None
        has_gone_over = self._standby is standby
        if not has_gone_over:
            self._say_goodbye(standby.socket)
        return has_gone_over

    def _go_over(self) -> None:
        """End this connection if the next socket is open; no call is unanswered.

        Not left to a task: until it ran, a caller that was answered could have called again.
        """
        if self._next is not None:
            self._standby, self._next = self._next, None
            self._conversation.stop_sending()
            self._over.set()

    def _say_goodbye(self, socket: ClientConnection) -> None:
        """Close a socket while other things go on."""
        goodbye = asyncio.create_task(socket.close())
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    def _take_given_up(self) -> GaveUp | None:
        event, self._given_up = self._given_up, None
        return event

    async def _talk(self, socket: ClientConnection, deadline: float) -> Exception:
        """Let the conversation use a socket until it is over; returns how the socket ended."""
        self._socket = socket
        self._over.clear()
        self._conversation.connection_opened(asyncio.get_running_loop().time(), deadline=deadline)
        tasks = [
            asyncio.create_task(work)
            for work in (self._read(socket), self._write(socket), self._watch())
        ]
        try:
            self._pump()
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            if self._move is not None:
                self._move.cancel()
                tasks.append(self._move)
                self._move = None
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            if self._standby is None:
                socket.transport.abort()
            else:
                self._say_goodbye(socket)
            self._socket = None
            self._conversation.connection_lost()
            self._pump()
        failed = [end for end in ends if isinstance(end, Exception)]
        for failure in failed:
            if not isinstance(failure, ConnectionClosed):
                raise failure
        return failed[0] if failed else ConnectionResetError()

    async def _read(self, socket: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                frame = await socket.recv()
            except ConnectionClosed as error:
                fault = size_fault(error, max_frame_bytes=self._options.max_frame_bytes)
                if fault is not None:
                    self._conversation.break_off(fault)
                raise
            if isinstance(frame, str):
                self._conversation.receive_frame(frame, loop.time())
            else:
                self._conversation.break_off("The server sent a binary frame.")
            self._pump()

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            self._has_frames.clear()
            for frame in self._conversation.frames_to_send():
                await socket.send(frame)
            await self._has_frames.wait()

    async def _watch(self) -> None:
        await self._over.wait()

    def _tick(self) -> None:
        self._timer = None
        self._conversation.tick(asyncio.get_running_loop().time())
        self._pump()
