"""The state machine of one DDP session, sans-I/O.

Theory of operation::

    connecting --connect--> open --close(), disconnected(), silence--> closed
         |------------------ failed, handshake timeout -----------------^

Frames and time go in, frames and events come out. Messages wait in one queue; one piece of work
(a ``sub`` or a ``method``) is handed out at a time, and the next follows when it is finished or
unblocked. Only ping and pong pass the queue.

What is published goes from :class:`~bolide.server.sessions.subscriptions.Subscriptions` into the
:class:`~bolide.server.sessions.view.client_view.ClientView`, which knows what is to be sent.

While a user change is going on (:meth:`Session.begin_user_change` to
:meth:`Session.end_user_change`) the view fills anew and nothing is sent; at the end the
difference between the old view and the new one goes out, then ``ready``, then what waited
(:class:`~bolide.server.sessions.backlog.Backlog`). A resync
(:class:`~bolide.server.sessions.resync.ResyncRun`) is the same, with what the client says it
holds as the old view.

Observable behaviour follows Meteor's ``livedata_server``; see ``docs/design/sessions.md``.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

import msgspec

from bolide.core.ddp.codec import parse_client_message
from bolide.core.ddp.heartbeat import Heartbeat, HeartbeatState
from bolide.core.ddp.messages import (
    BadMessage,
    ClientMessage,
    Connect,
    Connected,
    Error,
    Failed,
    Have,
    Late,
    Method,
    Move,
    Nosub,
    Ping,
    Pong,
    Ready,
    Result,
    Resync,
    ServerMessage,
    Sub,
    Unsub,
    Updated,
    WireError,
)
from bolide.core.ddp.negotiation import Refused, negotiate
from bolide.core.errors import Details, LocalProtocolError
from bolide.core.values import UNDEFINED
from bolide.server.limits import Limits
from bolide.server.methods.result_size import ResultTooLarge
from bolide.server.sessions.backlog import Backlog
from bolide.server.sessions.events import (
    DigestsWanted,
    Event,
    MethodRequested,
    SessionClosed,
    SessionOpened,
    SubscribeRequested,
    Subscription,
    Work,
)
from bolide.server.sessions.resync import ResyncPhase, ResyncRun
from bolide.server.sessions.subscriptions import Subscriptions
from bolide.server.sessions.transport import PLAIN, Framing, Wire
from bolide.server.sessions.view.client_view import ClientView
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.sessions.waiting import Queued, Waiting, let_wait, read_again, sub_id

__all__ = ["DISCONNECTED", "Session", "SessionState"]

_NO_HEARTBEAT_VERSION = "pre1"
DISCONNECTED: Final = "The client disconnected"
"""The reason of a session that its client ended."""

_EXTENSIONS = ("call", "late", "move", "resync")


class SessionState(Enum):
    """How far the conversation is."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSED = "closed"


class Session:
    """One DDP conversation.

    Args:
        session_id: 17 characters, hard to guess.
        limits: What the peer may use.
        heartbeat: Interval and timeout, seconds; None switches heartbeats off.
        now: Monotonic time, seconds.
        strategy_of: Publication strategy of a collection, by name.
        build_id: Told to clients that know our extensions.
        framing: How messages sit on the socket.
        send: Puts packets that live queries share straight on the socket.

    Attributes:
        id: 17 characters, hard to guess.
        state: How far it is.
        close_reason: Why it ended; None until then.
        was_opened: The peer and we agreed on a version once.
        speaks_bolide: The peer knows our extensions.
        messages_received: How many frames with text came.
        subscriptions: Those that are active, and what they publish.
    """

    __slots__ = (
        "_backlog",
        "_build_id",
        "_current",
        "_events",
        "_handshake_deadline",
        "_heartbeat",
        "_heartbeat_times",
        "_is_changing_user",
        "_limits",
        "_now",
        "_queue",
        "_queued_bytes",
        "_resync",
        "_running_bytes",
        "_running_methods",
        "_version",
        "_view",
        "_was_voided",
        "close_reason",
        "id",
        "messages_received",
        "speaks_bolide",
        "state",
        "subscriptions",
        "was_opened",
    )

    def __init__(
        self,
        *,
        session_id: str,
        limits: Limits,
        heartbeat: tuple[float, float] | None,
        now: float,
        strategy_of: Callable[[str], PublicationStrategy],
        build_id: str = "",
        framing: Framing = PLAIN,
        send: Callable[[Sequence[bytes]], object] = lambda packets: None,
    ) -> None:
        """Wait for the peer's ``connect``."""
        self.id = session_id
        self.state = SessionState.CONNECTING
        self.close_reason: str | None = None
        self.speaks_bolide = False
        self.messages_received = 0
        self.was_opened = False
        self._limits = limits
        self._heartbeat_times = heartbeat
        self._heartbeat: Heartbeat | None = None
        self._handshake_deadline = now + limits.handshake_timeout_s
        self._build_id = build_id
        self._version = ""
        self._now = now
        self._view = ClientView(strategy_of, Wire(framing), send)
        # A list, because it is mostly empty: a deque would hold 700 bytes.
        self._queue: list[tuple[Waiting, int]] = []
        self._queued_bytes = 0
        self._current: Work | None = None
        self._running_methods = 0
        self._running_bytes = 0
        self._events: list[Event] = []
        self.subscriptions = Subscriptions(self._view, self._events, self._check_waiting)
        self._resync: ResyncRun | None = None
        self._was_voided = False
        self._is_changing_user = False
        # From the begin of a user change or a resync to its end.
        self._backlog: Backlog | None = None

    # What comes in

    def receive_frame(self, frame: str, now: float) -> None:
        """Take one message of the peer.

        Args:
            frame: JSON text.
            now: Monotonic time, seconds.
        """
        if self.state is SessionState.CLOSED:
            return
        self._now = now
        self.messages_received += 1
        if self._heartbeat is not None:
            self._heartbeat.message_received(now)
        size = len(frame if frame.isascii() else frame.encode("utf-8", "surrogatepass"))
        if size > self._limits.max_message_bytes:
            limit = self._limits.max_message_bytes
            self._send(Error(f"Message too large: {size} bytes, the limit is {limit}"))
            return
        message = parse_client_message(frame, max_depth=self._limits.max_json_depth)
        if self.state is SessionState.CONNECTING:
            self._receive_first(message, frame, now)
        elif type(message) is Method:
            self._enqueue(message, frame, size)
        elif isinstance(message, Connect):
            self._send(Error("Already connected", _plain(frame)))
        elif isinstance(message, Ping | Pong) and self._version == _NO_HEARTBEAT_VERSION:
            self._enqueue(BadMessage("Bad request", _plain(frame)), frame, size)
        elif isinstance(message, Ping):
            self._send_urgent(Pong(message.id))
        elif isinstance(message, Resync | Have):
            self._receive_resync(message, frame, size)
        elif not isinstance(message, Pong):
            self._enqueue(message, frame, size)

    def receive_bad_frame(self, reason: str, now: float) -> None:
        """Learn of a frame that holds no text, or no message of its framing.

        Args:
            reason: What is told to the peer.
            now: Monotonic time, seconds.
        """
        if self.state is SessionState.CLOSED:
            return
        if self._heartbeat is not None:
            self._heartbeat.message_received(now)
        self._send(Error(reason))

    def tick(self, now: float) -> None:
        """Do what is due: ping a silent peer, give up one that does not answer."""
        if self.state is SessionState.CONNECTING and now >= self._handshake_deadline:
            self.close("No connect message came in time", at_fault=True)
        self._now = now
        resync = self._resync
        if resync is not None and resync.deadline is not None and now >= resync.deadline:
            self._resync_is_late(resync)
        if self._heartbeat is None or self.state is SessionState.CLOSED:
            return
        self._heartbeat.tick(now)
        for _ in self._heartbeat.messages_to_send():
            self._send_urgent(Ping())
        if self._heartbeat.state is HeartbeatState.EXPIRED:
            self.close("The client did not answer a ping")

    def disconnected(self) -> None:
        """Learn that the peer is gone."""
        self.close(DISCONNECTED)

    # What goes out

    def packets_to_send(self, max_bytes: int = 65_536) -> list[bytes]:
        """Hand over what is to be sent next, in order.

        Args:
            max_bytes: About how much; call again if :attr:`has_packets` then.
        """
        return self._view.packets(max_bytes)

    @property
    def has_packets(self) -> bool:
        """Whether something waits and can be sent now."""
        return self._view.has_packets

    def writing_paused(self) -> None:
        """Learn that the socket takes no more; documents that change meanwhile are merged."""
        self._view.become_full()

    def writing_resumed(self) -> None:
        """Learn that the socket has room again."""
        self._view.drain()

    def events_received(self) -> list[Event]:
        """Hand over what is to be done, in order; each once."""
        events = self._events
        if events:
            handed_over = events.copy()
            events.clear()
            return handed_over
        return events

    def next_deadline(self) -> float | None:
        """Tell when :meth:`tick` must be called next, monotonic seconds; None for never."""
        if self.state is SessionState.CONNECTING:
            return self._handshake_deadline
        if self.state is SessionState.CLOSED:
            return None
        deadlines = [
            None if self._heartbeat is None else self._heartbeat.next_deadline(),
            None if self._resync is None else self._resync.deadline,
        ]
        return min((one for one in deadlines if one is not None), default=None)

    @property
    def document_count(self) -> int:
        """How many documents the client holds."""
        return self._view.document_count

    @property
    def waiting_documents(self) -> int:
        """How many documents changed and were not sent yet."""
        return self._view.waiting_documents

    @property
    def waiting_bytes(self) -> int:
        """Size of the messages that were not sent yet, documents not counted, bytes."""
        held_back = 0 if self._backlog is None else self._backlog.size
        return self._view.message_bytes + held_back

    @property
    def is_full(self) -> bool:
        """Its socket takes nothing now."""
        return self._view.is_full

    @property
    def methods_in_flight(self) -> int:
        """How many calls were begun and are not ``updated`` yet."""
        return self._running_methods

    @property
    def queued_messages(self) -> int:
        """How many messages of the peer wait for those before them."""
        return len(self._queue)

    # What handlers do

    def ready(self, subscription: Subscription) -> None:
        """Tell that the initial data were published; a second time does nothing."""
        if not subscription.is_active or subscription.is_ready:
            return
        subscription.is_ready = True
        if subscription.id is None:
            return
        backlog = self._backlog
        if backlog is None or subscription.id in backlog.ended:
            self._send(Ready((subscription.id,)))
        else:
            backlog.ready[subscription.id] = None
        if self._resync is not None:
            self._look_at_resync(self._resync)

    def nosub(self, subscription: Subscription, error: WireError | None = None) -> None:
        """End a subscription from the server's side.

        Args:
            subscription: Which one; if it is not active any more, nothing happens.
            error: What the client is told; None if the publication stopped on purpose.
        """
        if not subscription.is_active:
            return
        if subscription not in self.subscriptions.running():
            # It was replaced; the run that came after it goes on.
            self.subscriptions.take_back(subscription)
            return
        self.subscriptions.end(subscription)
        if subscription.id is not None:
            self._send(Nosub(subscription.id, error))
        if self._resync is not None:
            self._look_at_resync(self._resync)

    def result(self, work: Work, value: Any = UNDEFINED, error: WireError | None = None) -> None:
        """Answer a call, once; UNDEFINED is no result at all.

        Raises:
            ResultTooLarge: If it takes more than a result may; the call is not answered.
            EJSONError: If the value cannot be sent; the call is not answered.
        """
        assert work.method_id is not None
        if work.is_answered or self.state is SessionState.CLOSED:
            return
        message = Result(work.method_id, value, error)
        packet = self._view.gate.wire.packet(message)
        limit = self._limits.max_result_bytes
        if len(packet) > limit:
            raise ResultTooLarge(len(packet), limit)
        self._send(message, packet)
        work.is_answered = True

    def updated(self, work: Work) -> None:
        """Tell that everything the call wrote has been sent, once."""
        assert work.method_id is not None
        if not work.is_done:
            work.is_done = True
            self._running_methods -= 1
            self._running_bytes -= work.size
            self._send(Updated((work.method_id,)))

    def unblock(self, work: Work) -> None:
        """Let the queue go on while the handler still runs."""
        work.was_unblocked = True
        self.finish(work)

    def finish(self, work: Work) -> None:
        """Let the queue go on, because the handler came to its end."""
        work.is_blocking = False
        if self._current is work:
            self._current = None
            self._advance()

    def begin_user_change(self) -> list[Subscription]:
        """Stop what was published for the former user, quietly; nothing is sent until the end.

        Returns:
            The named subscriptions as new ones, to be run again. Universal ones are to be started
            anew as well.

        Raises:
            LocalProtocolError: If a user change is going on already.
        """
        if self._is_changing_user:
            raise LocalProtocolError("A change of the user is already going on.")
        if self.state is not SessionState.OPEN:
            return []
        self._is_changing_user = True
        resync = self._resync
        is_held = resync is not None and resync.phase is not ResyncPhase.AWAITED
        if is_held:
            self._was_voided = True
            self._resync = None
        self._view.begin_user_change(is_held=is_held)
        self._backlog = self._backlog or Backlog()
        return self.subscriptions.renew()

    def end_user_change(self) -> None:
        """Send the difference between the old user's view and the new one, and what waited."""
        if self._is_changing_user:
            self._is_changing_user = False
            self._view.end_user_change()
            if self._resync is None:
                self._send_backlog()
            else:
                self._look_at_resync(self._resync)

    def make_digests(self) -> None:
        """Go on with the digests of a resync, because others had their turn."""
        resync = self._resync
        if resync is not None and resync.phase is ResyncPhase.DIGESTING:
            self._digest(resync)

    def move(self, within_s: float) -> None:
        """Ask the client to connect anew, if it knows how.

        Args:
            within_s: The time it has, seconds.
        """
        if self.speaks_bolide and self.state is SessionState.OPEN:
            self._send_urgent(Move(within_s))

    def late(self, because: str) -> None:
        """Tell the client that what it shows may be late, if it knows what that means.

        Args:
            because: Why, in words; empty: it is not any more.
        """
        if self.speaks_bolide and self.state is SessionState.OPEN:
            self._send_urgent(Late(because or None))

    def close(self, reason: str, *, at_fault: bool = False) -> None:
        """End the conversation; a second time does nothing.

        Args:
            reason: One line for the peer and the log, without anything secret.
            at_fault: The peer broke a rule or a limit.
        """
        if self.state is SessionState.CLOSED:
            return
        self.state = SessionState.CLOSED
        self.close_reason = reason
        self._queue.clear()
        self._queued_bytes = 0
        self._backlog = self._resync = None
        self._view.end()
        self.subscriptions.stop()
        self._events.append(SessionClosed(reason, at_fault))

    # Inside

    def _receive_first(self, message: ClientMessage | BadMessage, frame: str, now: float) -> None:
        """Handle a message before the session is open."""
        match message:
            case Connect():
                self._connect(message, now)
            case BadMessage() if not _has_kind(message.offending_message):
                self._send(Error(message.reason, message.offending_message))
            case _:
                self._send(Error("Must connect first", _plain(frame)))

    def _connect(self, message: Connect, now: float) -> None:
        outcome = negotiate(message.version, message.support)
        if isinstance(outcome, Refused):
            self._send(Failed(outcome.version))
            self.close("The client speaks another version of DDP")
            return
        self.state = SessionState.OPEN
        self.was_opened = True
        self._version = outcome.version
        if self._heartbeat_times is not None and self._version != _NO_HEARTBEAT_VERSION:
            self._heartbeat = Heartbeat(*self._heartbeat_times, now)
        extensions: dict[str, Details] | None = None
        if message.bolide is not None:
            self.speaks_bolide = True
            self._view.speak(Wire(self._view.gate.wire.framing, bolide=True))
            limits: dict[str, Details] = {
                "max_message_bytes": self._limits.max_message_bytes,
                "max_json_depth": self._limits.max_json_depth,
            }
            extensions = {
                "build": self._build_id,
                "extensions": list(_EXTENSIONS),
                "limits": limits,
            }
        self._send_urgent(Connected(self.id, extensions))
        if message.bolide is not None and message.bolide.get("resync") is True:
            self._resync = ResyncRun(self._view, self._limits, now)
            self._backlog = Backlog()
        self._events.append(SessionOpened())

    def _enqueue(self, message: Queued, frame: str, size: int) -> None:
        if not self._queue and self._current is None and type(message) is Method:
            self._call(message, size)
            return
        is_next = not self._queue and self._current is None
        self._queue.append((message if is_next else let_wait(message, frame, size), size))
        self._queued_bytes += size
        self._advance()
        if (
            len(self._queue) > self._limits.max_queued_messages
            or self._queued_bytes > self._limits.max_queued_bytes
        ):
            self.close("Too many messages wait to be handled", at_fault=True)

    def _advance(self) -> None:
        """Handle messages until one of them is work for somebody else."""
        while self._queue and self._current is None and self.state is SessionState.OPEN:
            waiting, size = self._queue.pop(0)
            self._queued_bytes -= size
            match message := read_again(waiting, self._limits.max_json_depth):
                case Sub():
                    self._subscribe(message, size)
                case Unsub():
                    self._unsubscribe(message)
                case Method():
                    self._call(message, size)
                case BadMessage():
                    offending = message.offending_message
                    if offending is UNDEFINED and self.speaks_bolide:
                        offending = message.named
                    self._send(Error(message.reason, offending))
        if self._resync is not None:
            self._look_at_resync(self._resync)

    def _subscribe(self, message: Sub, size: int) -> None:
        subscriptions, limits = self.subscriptions, self._limits
        if message.id in subscriptions.named:
            return
        if (
            len(subscriptions.named) >= limits.max_subscriptions
            or subscriptions.request_bytes + size > limits.max_subscription_bytes
        ):
            self._send(Nosub(message.id, _too_many("subscriptions")))
            return
        self._current = Work()
        self._events.append(SubscribeRequested(self._current, subscriptions.begin(message, size)))

    def _unsubscribe(self, message: Unsub) -> None:
        subscription = self.subscriptions.named.get(message.id)
        if subscription is not None:
            self.subscriptions.end(subscription)
        self._send(Nosub(message.id))

    def _call(self, message: Method, size: int) -> None:
        limits, running = self._limits, self._running_methods
        if running >= limits.max_methods_in_flight or (
            running and self._running_bytes + size > limits.max_method_bytes
        ):
            self._send(Result(message.id, error=_too_many("calls")))
            self._send(Updated((message.id,)))
            return
        self._running_methods += 1
        self._running_bytes += size
        self._current = Work(message.id, size=size)
        self._events.append(
            MethodRequested(
                self._current,
                message.method,
                message.params,
                message.random_seed,
                message.call if self.speaks_bolide else None,
            )
        )

    # Resync

    def _receive_resync(self, message: Resync | Have, frame: str, size: int) -> None:
        resync = self._resync
        if resync is not None and resync.receive(message, size, self._now):
            self._look_at_resync(resync)
        elif not self._was_voided:  # else the client sent it before it knew
            self._enqueue(BadMessage("Bad request", _plain(frame)), frame, size)

    def _look_at_resync(self, resync: ResyncRun) -> None:
        """Go on with a resync as far as the subscriptions that it waits for let it."""
        if self._is_changing_user:
            return
        if resync.phase is ResyncPhase.RUNNING:
            queued = {id for waiting, _ in self._queue if (id := sub_id(waiting)) is not None}

            def is_awaited(id: str) -> bool:
                subscription = self.subscriptions.named.get(id)
                return id in queued or (subscription is not None and not subscription.is_ready)

            if resync.is_settled(is_awaited):
                self._digest(resync)
        else:
            self._end_resync(resync)

    def _resync_is_late(self, resync: ResyncRun) -> None:
        if resync.phase is ResyncPhase.RUNNING:
            self._digest(resync)
        else:
            resync.expire()
            self._end_resync(resync)

    def _digest(self, resync: ResyncRun) -> None:
        if resync.digest():
            self._send_urgent(resync.compare(self._now))
            self._end_resync(resync)
        else:
            self._events.append(DigestsWanted())

    def _end_resync(self, resync: ResyncRun) -> None:
        """Send what waited for a resync, if it is over."""
        if resync.phase is ResyncPhase.DONE:
            self._resync = None
            self._view.end_resync(resync.have)
            self._send_backlog()
        elif resync.phase is ResyncPhase.BROKEN:
            self.close(resync.fault, at_fault=True)

    # Sending

    def _send(self, message: ServerMessage, packet: bytes | None = None) -> None:
        if self.state is SessionState.CLOSED:
            return
        view, backlog = self._view, self._backlog
        if packet is None:
            packet = view.gate.wire.packet(message)
        if backlog is not None and self._may_overtake(message):
            view.urgent(packet)
        elif backlog is not None:
            backlog.hold(message, packet)
        else:
            view.message(packet)
            if not view.is_full:
                return
        self._check_waiting()

    def _may_overtake(self, message: ServerMessage) -> bool:
        """Tell whether a message may be sent before documents are.

        A client that came back may have to log in before it sends its subscriptions. A result
        promises nothing about documents.
        """
        resync = self._resync
        is_awaited = resync is not None and resync.phase is ResyncPhase.AWAITED
        return type(message) is Result and is_awaited

    def _send_urgent(self, message: ServerMessage) -> None:
        if self.state is not SessionState.CLOSED:
            self._view.urgent(self._view.packet(message))
            self._check_waiting()

    def _send_backlog(self) -> None:
        backlog, self._backlog = self._backlog, None
        if backlog is None:
            return
        if backlog.ready:
            self._send(Ready(tuple(backlog.ready)))
        if self.state is not SessionState.CLOSED:
            for packet in backlog.packets:
                self._view.message(packet)

    def _check_waiting(self) -> None:
        """Give up a client for which too much waits that cannot be merged."""
        limit, view, backlog = self._limits.max_outbound_bytes, self._view, self._backlog
        if backlog is not None and backlog.size + view.message_bytes > limit:
            self.close("Too much waits for the end of a comparison of views", at_fault=True)
        elif view.is_full and view.message_bytes > limit:
            self.close("More waits for you than a session may hold", at_fault=True)


def _plain(frame: str) -> Details:
    """Return a frame that was parsed before as plain JSON."""
    value: Details = msgspec.json.decode(frame)
    return value


def _has_kind(offending: object) -> bool:
    """Tell whether a bad message is an object that says what it is."""
    if not isinstance(offending, Mapping):
        return False
    kinds: Mapping[str, object] = offending  # pyright: ignore[reportUnknownVariableType]
    return bool(kinds.get("msg"))


def _too_many(what: str) -> WireError:
    return WireError("too-many-requests", f"Too many {what} at the same time; end some first.")
