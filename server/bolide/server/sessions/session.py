"""The state machine of one DDP session, sans-I/O.

Theory of operation::

    connecting --connect--> open --close(), disconnected(), silence--> closed
         |------------------ failed, handshake timeout -----------------^

Frames and time go in, frames and events come out. Messages wait in one queue; one piece of work
(a ``sub`` or a ``method``) is handed out at a time, and the next follows when it is finished or
unblocked. Only ping and pong pass the queue.

While a user change is going on (:meth:`Session.begin_user_change` to
:meth:`Session.end_user_change`) the merge box fills anew and nothing is sent; at the end the
difference between the old view and the new one goes out, then ``ready``, then what waited.

Observable behaviour follows Meteor's ``livedata_server``; see ``docs/design/sessions.md``.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from enum import Enum
from typing import Any, TypeAlias

import msgspec

from bolide.core.ddp.codec import parse_client_message, serialize
from bolide.core.ddp.heartbeat import Heartbeat, HeartbeatState
from bolide.core.ddp.messages import (
    BadMessage,
    ClientMessage,
    Connect,
    Connected,
    Error,
    Failed,
    Method,
    Nosub,
    Ping,
    Pong,
    Ready,
    Result,
    ServerMessage,
    Sub,
    Unsub,
    Updated,
    WireError,
)
from bolide.core.ddp.negotiation import Refused, negotiate
from bolide.core.errors import Details, LocalProtocolError
from bolide.core.values import UNDEFINED, Fields
from bolide.server.limits import Limits
from bolide.server.sessions.events import (
    Event,
    MethodRequested,
    SessionClosed,
    SessionOpened,
    SubscribeRequested,
    Subscription,
    SubscriptionStopped,
    Work,
)
from bolide.server.sessions.mergebox import MergeBox, Snapshot
from bolide.server.sessions.strategy import PublicationStrategy
from bolide.server.sessions.view_change import DataMessage, ViewChange

__all__ = ["Session", "SessionState"]

_NO_HEARTBEAT_VERSION = "pre1"

_Queued: TypeAlias = Sub | Unsub | Method | BadMessage


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
    """

    __slots__ = (
        "_before",
        "_build_id",
        "_current",
        "_events",
        "_handshake_deadline",
        "_heartbeat",
        "_heartbeat_times",
        "_late",
        "_late_size",
        "_limits",
        "_merge_box",
        "_out",
        "_queue",
        "_queued_bytes",
        "_ready_late",
        "_running_methods",
        "_subscriptions",
        "_universal",
        "_version",
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
        self._merge_box = MergeBox(strategy_of)
        self._subscriptions: dict[str, Subscription] = {}
        self._universal: list[Subscription] = []
        self._queue = deque[tuple[_Queued, int]]()
        self._queued_bytes = 0
        self._current: Work | None = None
        self._running_methods = 0
        self._events: list[Event] = []
        self._out: list[str] = []
        # During a user change: the old view, and what has to wait for the end.
        self._before: Snapshot | None = None
        self._late: list[str] = []
        self._late_size = 0
        self._ready_late: list[str] = []

    # What comes in

    def receive_frame(self, frame: str, now: float) -> None:
        """Take one message of the peer.

        Args:
            frame: JSON text.
            now: Monotonic time, seconds.
        """
        if self.state is SessionState.CLOSED:
            return
        self.messages_received += 1
        if self._heartbeat is not None:
            self._heartbeat.message_received(now)
        size = len(frame.encode("utf-8", "surrogatepass"))
        if size > self._limits.max_message_bytes:
            limit = self._limits.max_message_bytes
            self._send(Error(f"Message too large: {size} bytes, the limit is {limit}"))
            return
        message = parse_client_message(frame, max_depth=self._limits.max_json_depth)
        if self.state is SessionState.CONNECTING:
            self._receive_first(message, frame, now)
        elif isinstance(message, Connect):
            self._send(Error("Already connected", _plain(frame)))
        elif isinstance(message, Ping | Pong) and self._version == _NO_HEARTBEAT_VERSION:
            self._enqueue(BadMessage("Bad request", _plain(frame)), size)
        elif isinstance(message, Ping):
            self._out.append(self._encode(Pong(message.id)))
        elif not isinstance(message, Pong):
            self._enqueue(message, size)

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
        if self._heartbeat is None or self.state is SessionState.CLOSED:
            return
        self._heartbeat.tick(now)
        self._out.extend(self._encode(Ping()) for _ in self._heartbeat.messages_to_send())
        if self._heartbeat.state is HeartbeatState.EXPIRED:
            self.close("The client did not answer a ping")

    def disconnected(self) -> None:
        """Learn that the peer is gone."""
        self.close("The client disconnected")

    # What goes out

    def frames_to_send(self) -> list[str]:
        """Hand over the messages that are to be sent, in order; each once."""
        out, self._out = self._out, []
        return out

    def events_received(self) -> list[Event]:
        """Hand over what is to be done, in order; each once."""
        events, self._events = self._events, []
        return events

    def next_deadline(self) -> float | None:
        """Tell when :meth:`tick` must be called next, monotonic seconds; None for never."""
        if self.state is SessionState.CONNECTING:
            return self._handshake_deadline
        if self._heartbeat is None or self.state is SessionState.CLOSED:
            return None
        return self._heartbeat.next_deadline()

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """The active named subscriptions, by id."""
        return self._subscriptions

    @property
    def document_count(self) -> int:
        """How many documents the client holds."""
        return self._merge_box.document_count

    # What handlers do

    def apply(
        self, subscription: Subscription, change: ViewChange, source: Hashable | None = None
    ) -> None:
        """Apply a change of a view that the subscription publishes.

        Args:
            subscription: Who publishes it.
            change: Its values are never changed afterwards.
            source: Which part of the subscription, to be taken back on its own; None: itself.
        """
        if not subscription.is_active:
            return
        if source is not None:
            subscription.sources[source] = None
        # What cannot be sent must not be in the view; the text is shared, so this is not in vain.
        frame = change.frame(bolide=self.speaks_bolide)
        message = self._merge_box.apply(subscription if source is None else source, change)
        if message is change.message and not self._is_paused(change.message):
            self._out.append(frame)
        else:
            self._send_data(message)

    def added(self, subscription: Subscription, collection: str, id: Any, fields: Fields) -> None:
        """Publish a document.

        Args:
            subscription: Who publishes it.
            collection: Name of the collection on the client.
            id: Its ``_id``.
            fields: Its fields; ``_id`` and UNDEFINED in them are left out.
        """
        whole = {name: value for name, value in _writable(fields) if value is not UNDEFINED}
        self.apply(subscription, ViewChange.added(collection, id, whole))

    def changed(self, subscription: Subscription, collection: str, id: Any, fields: Fields) -> None:
        """Publish other values of some fields; UNDEFINED clears one.

        Raises:
            LocalProtocolError: If the client does not hold the document.
        """
        if subscription.is_active:
            changes = dict(_writable(fields))
            self._encode(ViewChange.changed(collection, id, changes, {}).message)
            self._send_data(self._merge_box.changed(subscription, collection, id, changes))

    def removed(self, subscription: Subscription, collection: str, id: Any) -> None:
        """Take a document back.

        Raises:
            LocalProtocolError: If the client does not hold it.
        """
        self.apply(subscription, ViewChange.removed(collection, id))

    def take_back(self, subscription: Subscription, source: Hashable) -> None:
        """Take back what one source of a subscription published and nobody else does."""
        if subscription.is_active and source in subscription.sources:
            del subscription.sources[source]
            for message in self._merge_box.stop(source):
                self._send_data(message)

    def ready(self, subscription: Subscription) -> None:
        """Tell that the initial data were published; a second time does nothing."""
        if not subscription.is_active or subscription.is_ready:
            return
        subscription.is_ready = True
        if subscription.id is None:
            return
        if self._before is not None:
            self._ready_late.append(subscription.id)
        else:
            self._send(Ready((subscription.id,)))

    def nosub(self, subscription: Subscription, error: WireError | None = None) -> None:
        """End a subscription from the server's side.

        Args:
            subscription: Which one; if it is not active any more, nothing happens.
            error: What the client is told; None if the publication stopped on purpose.
        """
        if subscription.is_active:
            self._end(subscription)
            if subscription.id is not None:
                self._send(Nosub(subscription.id, error))

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

    def begin_user_change(self) -> list[Subscription]:
        """Stop what was published for the former user, quietly; nothing is sent until the end.

        Returns:
            The named subscriptions as new ones, to be run again. Universal ones are to be started
            anew as well.

        Raises:
            LocalProtocolError: If a user change is going on already.
        """
        if self._before is not None:
            raise LocalProtocolError("A change of the user is already going on.")
        if self.state is not SessionState.OPEN:
            return []
        before = self._merge_box.snapshot()
        for message in self._merge_box.forget_merged():
            self._out.append(self._encode(message))
        self._before = before
        named = list(self._subscriptions.values())
        for old in [*named, *self._universal]:
            old.is_active = False
            self._events.append(SubscriptionStopped(old))
        self._universal.clear()
        self._subscriptions = {
            sub.id: Subscription(sub.id, sub.name, sub.params)
            for sub in named
            if sub.id is not None
        }
        return list(self._subscriptions.values())

    def end_user_change(self) -> None:
        """Send the difference between the old user's view and the new one, and what waited."""
        if self._before is None:
            return
        before, self._before = self._before, None
        for message in self._merge_box.difference(before):
            self._send(message)
        if self._ready_late:
            ready, self._ready_late = self._ready_late, []
            self._send(Ready(tuple(ready)))
        self._out += self._late
        self._late, self._late_size = [], 0

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
        for subscription in [*self._subscriptions.values(), *self._universal]:
            subscription.is_active = False
            self._events.append(SubscriptionStopped(subscription))
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
            extensions = {"build": self._build_id}
        self._send(Connected(self.id, extensions))
        self._events.append(SessionOpened())

    def _enqueue(self, message: _Queued, size: int) -> None:
        self._queue.append((message, size))
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
            message, size = self._queue.popleft()
            self._queued_bytes -= size
            match message:
                case Sub():
                    self._subscribe(message)
                case Unsub():
                    self._unsubscribe(message)
                case Method():
                    self._call(message)
                case BadMessage():
                    self._send(Error(message.reason, message.offending_message))

    def _subscribe(self, message: Sub) -> None:
        if message.id in self._subscriptions:
            return
        if len(self._subscriptions) >= self._limits.max_subscriptions:
            self._send(Nosub(message.id, _too_many("subscriptions")))
            return
        subscription = Subscription(message.id, message.name, message.params)
        self._subscriptions[message.id] = subscription
        self._current = Work()
        self._events.append(SubscribeRequested(self._current, subscription))

    def _unsubscribe(self, message: Unsub) -> None:
        subscription = self._subscriptions.get(message.id)
        if subscription is not None:
            self._end(subscription)
        self._send(Nosub(message.id))

    def _call(self, message: Method) -> None:
        if self._running_methods >= self._limits.max_methods_in_flight:
            self._send(Result(message.id, error=_too_many("calls")))
            self._send(Updated((message.id,)))
            return
        self._running_methods += 1
        self._current = Work(message.id)
        self._events.append(
            MethodRequested(self._current, message.method, message.params, message.random_seed)
        )

    def _end(self, subscription: Subscription) -> None:
        subscription.is_active = False
        if subscription.id is None:
            self._universal.remove(subscription)
        else:
            del self._subscriptions[subscription.id]
        for owner in (subscription, *subscription.sources):
            for message in self._merge_box.stop(owner):
                self._send_data(message)
        self._events.append(SubscriptionStopped(subscription))

    def _is_paused(self, message: DataMessage) -> bool:
        """Tell whether a document's message is left to the difference at the end of a pause."""
        return self._before is not None and self._merge_box.is_merged(message.collection)

    def _send_data(self, message: DataMessage | None) -> None:
        if message is not None and self.state is SessionState.OPEN and not self._is_paused(message):
            self._out.append(self._encode(message))

    def _send(self, message: ServerMessage) -> None:
        if self.state is SessionState.CLOSED:
            return
        frame = self._encode(message)
        if self._before is None:
            self._out.append(frame)
            return
        self._late.append(frame)
        self._late_size += len(frame)
        if self._late_size > self._limits.max_outbound_bytes:
            self.close("Too much waits for the end of a change of the user", at_fault=True)

    def _encode(self, message: ServerMessage) -> str:
        return serialize(message, bolide=self.speaks_bolide)


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
