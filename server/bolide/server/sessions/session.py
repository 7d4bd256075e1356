"""The state machine of one DDP session, sans-I/O.

Theory of operation::

    connecting --connect--> open --close(), disconnected(), silence--> closed
         |------------------ failed, handshake timeout -----------------^

Frames and time go in, frames and events come out. Messages wait in one queue; one piece of work
(a ``sub`` or a ``method``) is handed out at a time, and the next follows when it is finished or
unblocked. Only ping and pong pass the queue.

While a user change is going on (:meth:`Session.begin_user_change` to
:meth:`Session.end_user_change`) the view fills anew and nothing is sent; at the end the
difference between the old view and the new one goes out, then ``ready``, then what waited. A
resync is the same, with what the client says it holds as the old view.

Observable behaviour follows Meteor's ``livedata_server``; see ``docs/design/sessions.md``.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

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
    Want,
    WireError,
)
from bolide.core.ddp.negotiation import Refused, negotiate
from bolide.core.errors import Details, LocalProtocolError
from bolide.core.values import UNDEFINED, Fields
from bolide.server.limits import Limits
from bolide.server.sessions.client_view import ClientView
from bolide.server.sessions.events import (
    DigestsWanted,
    Event,
    MethodRequested,
    SessionClosed,
    SessionOpened,
    SubscribeRequested,
    Subscription,
    SubscriptionStopped,
    Work,
)
from bolide.server.sessions.resync import ResyncPhase, ResyncRun
from bolide.server.sessions.source import Source
from bolide.server.sessions.strategy import PublicationStrategy
from bolide.server.sessions.transport import PLAIN, Framing, Wire
from bolide.server.sessions.view_change import ViewChange, changed_message
from bolide.server.sessions.waiting import Queued, Waiting, let_wait, read_again, sub_id

__all__ = ["Session", "SessionState"]

_NO_HEARTBEAT_VERSION = "pre1"
_EXTENSIONS = ("call", "move", "resync")


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
    """

    __slots__ = (
        "_build_id",
        "_current",
        "_ended_late",
        "_events",
        "_handshake_deadline",
        "_heartbeat",
        "_heartbeat_times",
        "_is_changing_user",
        "_late",
        "_late_size",
        "_limits",
        "_now",
        "_queue",
        "_queued_bytes",
        "_ready_late",
        "_resync",
        "_running_bytes",
        "_running_methods",
        "_subscriptions",
        "_universal",
        "_version",
        "_view",
        "_was_voided",
        "close_reason",
        "id",
        "messages_received",
        "speaks_bolide",
        "state",
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
        self._subscriptions: dict[str, Subscription] = {}
        self._universal: list[Subscription] = []
        # A list, because it is mostly empty: a deque would hold 700 bytes.
        self._queue: list[tuple[Waiting, int]] = []
        self._queued_bytes = 0
        self._current: Work | None = None
        self._running_methods = 0
        self._running_bytes = 0
        self._events: list[Event] = []
        self._resync: ResyncRun | None = None
        self._was_voided = False
        self._is_changing_user = False
        # During a user change or a resync: what has to wait for the end.
        self._late: list[bytes] = []
        self._late_size = 0
        self._ready_late: list[str] = []
        self._ended_late: set[str] = set()

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
        self.close("The client disconnected")

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
            self._events = []
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
    def subscriptions(self) -> Mapping[str, Subscription]:
        """The active named subscriptions, by id."""
        return self._subscriptions

    @property
    def subscription_count(self) -> int:
        """How many subscriptions are active, universal ones too."""
        return len(self._subscriptions) + len(self._universal)

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
        return self._view.message_bytes + self._late_size

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

    def join(self, source: Source) -> None:
        """Publish the whole result of a live query.

        Raises:
            EJSONError: If a value cannot be sent.
        """
        if source.subscription.is_active:
            source.subscription.sources[source] = None
            self._view.join(source)
            self._check_waiting()

    def apply(self, source: Source, changes: Sequence[ViewChange]) -> None:
        """Publish changes of a live query that was joined.

        Raises:
            EJSONError: If a value cannot be sent.
        """
        if source.subscription.is_active:
            self._view.apply(source, changes)
            self._check_waiting()

    def publish(
        self, subscription: Subscription, owner: Hashable, changes: Sequence[ViewChange]
    ) -> None:
        """Publish changes of something that publishes for a subscription, and can leave alone.

        Raises:
            EJSONError: If a value cannot be sent.
        """
        if subscription.is_active:
            subscription.sources[owner] = None
            self._view.apply(owner, changes)
            self._check_waiting()

    def leave(self, subscription: Subscription, owner: Hashable) -> None:
        """Take back what one owner published; its subscription goes on without it."""
        if subscription.is_active and owner in subscription.sources:
            del subscription.sources[owner]
            self._view.leave(owner)

    def added(self, subscription: Subscription, collection: str, id: Any, fields: Fields) -> None:
        """Publish a document.

        Args:
            subscription: Who publishes it.
            collection: Name of the collection on the client.
            id: Its ``_id``.
            fields: Its fields; ``_id`` and UNDEFINED in them are left out.
        """
        if subscription.is_active:
            whole = {name: value for name, value in _writable(fields) if value is not UNDEFINED}
            self._view.apply(subscription, [ViewChange.added(collection, id, whole)])
            self._check_waiting()

    def changed(self, subscription: Subscription, collection: str, id: Any, fields: Fields) -> None:
        """Publish other values of some fields; UNDEFINED clears one.

        Raises:
            LocalProtocolError: If the client does not hold the document.
        """
        if subscription.is_active:
            changes = dict(_writable(fields))
            message = changed_message(collection, id, changes)
            self._view.changed(subscription, message, changes)
            self._check_waiting()

    def removed(self, subscription: Subscription, collection: str, id: Any) -> None:
        """Take a document back.

        Raises:
            LocalProtocolError: If the client does not hold it.
        """
        if subscription.is_active:
            self._view.apply(subscription, [ViewChange.removed(collection, id, {})])
            self._check_waiting()

    def ready(self, subscription: Subscription) -> None:
        """Tell that the initial data were published; a second time does nothing."""
        if not subscription.is_active or subscription.is_ready:
            return
        subscription.is_ready = True
        if subscription.id is None:
            return
        if self._view.is_paused:
            if subscription.id in self._ended_late:
                # Another subscription of this id ended: its nosub comes first.
                self._send(Ready((subscription.id,)))
            else:
                self._ready_late.append(subscription.id)
            self._look_at_resync()
        else:
            self._send(Ready((subscription.id,)))

    def nosub(self, subscription: Subscription, error: WireError | None = None) -> None:
        """End a subscription from the server's side.

        Args:
            subscription: Which one; if it is not active any more, nothing happens.
            error: What the client is told; None if the publication stopped on purpose.
        """
        if not subscription.is_active:
            return
        if subscription not in self.running_subscriptions():
            # It was replaced; the run that came after it goes on.
            self._take_back(subscription)
            return
        self._end(subscription)
        if subscription.id is not None:
            self._send(Nosub(subscription.id, error))
        self._look_at_resync()

    def result(self, work: Work, value: Any = UNDEFINED, error: WireError | None = None) -> None:
        """Answer a call, once; UNDEFINED is no result at all."""
        assert work.method_id is not None
        if not work.is_answered:
            self._send(Result(work.method_id, value, error))
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

    def start_universal(self) -> Subscription:
        """Make a subscription of a universal publication; it has neither id nor name."""
        subscription = Subscription(None, None)
        self._universal.append(subscription)
        return subscription

    def running_subscriptions(self) -> list[Subscription]:
        """Return the active subscriptions, universal ones too, without those being replaced."""
        return [*self._subscriptions.values(), *self._universal]

    def restart(self, subscription: Subscription, *, keeps_documents: bool) -> Subscription | None:
        """Replace a subscription by a new run of it; ``ready`` is not sent a second time.

        Args:
            subscription: One of :meth:`running_subscriptions`.
            keeps_documents: What it published stays, and stays current, until :meth:`end_former`
                of the new run; otherwise it is taken back now.

        Returns:
            The new run; None if the subscription failed while it was taken back, and ended.
        """
        new = Subscription(
            subscription.id,
            subscription.name,
            subscription.params,
            is_ready=subscription.is_ready,
            size=subscription.size,
        )
        former, subscription.former = subscription.former, None
        if keeps_documents:
            new.former = former or subscription
        for old in (former, subscription):
            if old is not None and old is not new.former:
                self._take_back(old)
        if subscription not in self.running_subscriptions():
            return None
        if new.id is not None:
            self._subscriptions[new.id] = new
        else:
            self._universal[self._universal.index(subscription)] = new
        return new

    def end_former(self, subscription: Subscription) -> None:
        """Take back what only the former run of a subscription published, if there is one."""
        former, subscription.former = subscription.former, None
        if former is not None:
            self._take_back(former)

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
        self._was_voided = self._was_voided or self._resync is not None
        self._resync = None
        self._view.begin_user_change()
        named = list(self._subscriptions.values())
        self._stop_all()
        self._universal.clear()
        self._subscriptions = {
            sub.id: Subscription(sub.id, sub.name, sub.params, size=sub.size)
            for sub in named
            if sub.id is not None
        }
        return list(self._subscriptions.values())

    def end_user_change(self) -> None:
        """Send the difference between the old user's view and the new one, and what waited."""
        if self._is_changing_user:
            self._is_changing_user = False
            self._view.end_user_change()
            self._send_late()

    def make_digests(self) -> None:
        """Go on with the digests of a resync, because others had their turn."""
        resync = self._resync
        if resync is None or resync.phase is not ResyncPhase.DIGESTING:
            return
        if self._view.make_digests(resync.views):
            self._compare(resync)
        else:
            self._events.append(DigestsWanted())

    def move(self, within_s: float) -> None:
        """Ask the client to connect anew, if it knows how.

        Args:
            within_s: The time it has, seconds.
        """
        if self.speaks_bolide and self.state is SessionState.OPEN:
            self._send_urgent(Move(within_s))

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
        self._late, self._late_size = [], 0
        self._resync = None
        self._view.end()
        self._stop_all()
        self._subscriptions.clear()
        self._universal.clear()
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
            extensions = {"build": self._build_id, "extensions": list(_EXTENSIONS)}
        self._send_urgent(Connected(self.id, extensions))
        if message.bolide is not None and message.bolide.get("resync") is True:
            self._resync = ResyncRun(now + self._limits.resync_timeout_s)
            self._view.begin_resync()
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
                    self._send(Error(message.reason, message.offending_message))
        self._look_at_resync()

    def _subscribe(self, message: Sub, size: int) -> None:
        if message.id in self._subscriptions:
            return
        limits = self._limits
        if (
            len(self._subscriptions) >= limits.max_subscriptions
            or sum(sub.size for sub in self._subscriptions.values()) + size
            > limits.max_subscription_bytes
        ):
            self._send(Nosub(message.id, _too_many("subscriptions")))
            return
        subscription = Subscription(message.id, message.name, message.params, size=size)
        self._subscriptions[message.id] = subscription
        self._current = Work()
        self._events.append(SubscribeRequested(self._current, subscription))

    def _unsubscribe(self, message: Unsub) -> None:
        subscription = self._subscriptions.get(message.id)
        if subscription is not None:
            self._end(subscription)
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

    def _stop_all(self) -> None:
        """Let nothing be published any more; what is shown is the caller's business."""
        for running in self.running_subscriptions():
            for subscription in (running.former, running):
                if subscription is not None and subscription.is_active:
                    subscription.is_active = False
                    self._events.append(SubscriptionStopped(subscription))

    def _end(self, subscription: Subscription) -> None:
        if subscription.id is None:
            self._universal.remove(subscription)
        else:
            del self._subscriptions[subscription.id]
        self.end_former(subscription)
        self._take_back(subscription)

    def _take_back(self, subscription: Subscription) -> None:
        for source in tuple(subscription.sources):
            if isinstance(source, Source) and source.view is not None:
                source.view.catch_up()
        if not subscription.is_active:
            return  # it is over, or failed by that and ended
        subscription.is_active = False
        for owner in (*subscription.sources, subscription):
            self._view.leave(owner)
        subscription.sources.clear()
        self._events.append(SubscriptionStopped(subscription))

    # Resync

    def _receive_resync(self, message: Resync | Have, frame: str, size: int) -> None:
        resync = self._resync
        phase = None if resync is None else resync.phase
        if resync is not None and isinstance(message, Resync) and phase is ResyncPhase.AWAITED:
            resync.begin(message, self._now + self._limits.resync_timeout_s)
            self._look_at_resync()
        elif resync is not None and isinstance(message, Have) and phase is ResyncPhase.WANTED:
            resync.receive_have(message, size)
            limits = self._limits
            if (
                resync.id_count > limits.max_resync_ids
                or resync.received_bytes > limits.max_resync_bytes
            ):
                self.close("You hold more documents than a resync may name", at_fault=True)
            elif not message.more:
                self._end_resync(resync)
        elif not self._was_voided:  # else the client sent it before it knew
            self._enqueue(BadMessage("Bad request", _plain(frame)), frame, size)

    def _look_at_resync(self) -> None:
        """Go on if all subscriptions that it waits for are ready or refused."""
        resync = self._resync
        if resync is None or resync.phase is not ResyncPhase.RUNNING:
            return
        queued = {id for waiting, _ in self._queue if (id := sub_id(waiting)) is not None}

        def is_awaited(id: str) -> bool:
            subscription = self._subscriptions.get(id)
            return id in queued or (subscription is not None and not subscription.is_ready)

        if resync.is_settled(is_awaited):
            self._digest(resync)

    def _digest(self, resync: ResyncRun) -> None:
        resync.digest()
        self.make_digests()

    def _compare(self, resync: ResyncRun) -> None:
        wanted = self._view.compare(resync.views)
        self._send_urgent(Want(wanted))
        if wanted:
            resync.want(wanted, self._now + self._limits.resync_timeout_s)
        else:
            self._end_resync(resync)

    def _end_resync(self, resync: ResyncRun) -> None:
        self._resync = None
        self._view.end_resync(resync.have)
        self._send_late()

    def _resync_is_late(self, resync: ResyncRun) -> None:
        if resync.phase is ResyncPhase.RUNNING:
            self._digest(resync)
        else:
            self.close("The client asked for a resync and did not go on with it", at_fault=True)

    # Sending

    def _send(self, message: ServerMessage) -> None:
        if self.state is SessionState.CLOSED:
            return
        view = self._view
        packet = view.gate.wire.packet(message)
        if view.is_paused:
            self._late.append(packet)
            self._late_size += len(packet)
            if isinstance(message, Nosub):
                self._ended_late.add(message.id)
        else:
            view.message(packet)
            if not view.is_full:
                return
        self._check_waiting()

    def _send_urgent(self, message: ServerMessage) -> None:
        if self.state is not SessionState.CLOSED:
            self._view.urgent(self._view.packet(message))
            self._check_waiting()

    def _send_late(self) -> None:
        """Send what waited for a comparison: ``ready`` once, then everything else."""
        if self._ready_late:
            ready, self._ready_late = self._ready_late, []
            self._send(Ready(tuple(ready)))
        self._ended_late.clear()
        late, self._late, self._late_size = self._late, [], 0
        for packet in late:
            self._view.message(packet)

    def _check_waiting(self) -> None:
        """Give up a client for which too much waits that cannot be merged."""
        limit, view = self._limits.max_outbound_bytes, self._view
        if view.is_paused and self._late_size + view.message_bytes > limit:
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


def _writable(fields: Fields) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in fields.items() if name != "_id")


def _too_many(what: str) -> WireError:
    return WireError("too-many-requests", f"Too many {what} at the same time; end some first.")
