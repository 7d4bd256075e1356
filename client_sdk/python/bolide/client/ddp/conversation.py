"""The client's side of DDP, over all the connections of one client.

Sans-I/O. The shell dials, and tells how it went; the conversation remembers what must outlive a
connection: subscriptions, calls, and what the server told.

::

    OFFLINE --connection_opened--> NEGOTIATING --connected--> OPEN
       ^                                |                      |
       |                        failed, silence         silence, flood
       |                                v                      v
       +------connection_lost------ GIVEN_UP <-----------------+

Requests (calls and subscriptions) leave in the order they were made, at most ``max_in_flight``
unanswered at a time. After a reconnect the calls come first whose answer was lost, then the
subscriptions, then what was never sent.

Catching up: from the second session on, documents are kept aside until every subscription that
was made before it is answered (:mod:`bolide.client.documents.replica`). Answers that arrive
meanwhile are told after the documents they belong to.

Stubs: what a stub wrote is shown until the data of its method have come
(:mod:`bolide.client.documents.overlay`). A catching up also waits for the calls with stubs that
are sent again, as Meteor's client does.

Preparation: if the program prepares each session, such as to log in, its calls for that leave at
once and end with their result; everything else waits until it says that it is done. A resync
begins with ``connected`` and would hold these results back, so none is asked for then.

Resync: where documents are shown and the server can, it sends only what differs from them. All
that is sent again leaves before the resync is asked for, since no subscription is answered before.
A server that does not answer the resync is left, and met again without one; so is one whose
connections were lost in two resyncs one after the other.

Specified by DDP version 1 and ``docs/reference/ddp-extensions.md``; order and resending follow
Meteor's client.
"""

import math
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, Final

from bolide.client.ddp.agreement import NOTHING_AGREED, read_agreement
from bolide.client.ddp.requests import (
    Call,
    Request,
    RequestQueue,
    SubscriptionRequest,
    write_down,
)
from bolide.client.ddp.resync import ask_for_resync, chunks_of_digests
from bolide.client.ddp.versions import VERSIONS, VersionOffers
from bolide.client.documents.view import View
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
from bolide.client.limits import ClientLimits
from bolide.core.ddp.codec import parse_server_message, serialize
from bolide.core.ddp.heartbeat import Heartbeat, HeartbeatState
from bolide.core.ddp.messages import (
    Added,
    CallId,
    Changed,
    ClientMessage,
    Connect,
    Connected,
    Error,
    Failed,
    Late,
    Method,
    Move,
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
    Void,
    Want,
    WireError,
)
from bolide.core.errors import (
    Details,
    LocalProtocolError,
    RemoteProtocolError,
    SessionBusy,
    SessionClosed,
)
from bolide.core.values import UNDEFINED

__all__ = ["Conversation"]

# A server may also answer a resync by closing the connection; then it is met without one.
_MAX_UNFINISHED_RESYNCS: Final = 2

# These are awaited among ids, which are numbers.
_RESYNC: Final = "resync"
_PREPARATION: Final = "preparation"

_SENT_BEFORE: Final = "An earlier connection carried it, so it may have been done."
_MAX_REASON_LENGTH: Final = 200
_LOST: Final = "The connection was lost before the answer came."


class _Phase(Enum):
    OFFLINE = auto()
    NEGOTIATING = auto()
    OPEN = auto()
    GIVEN_UP = auto()


class Conversation:
    """Everything one client and its servers say to each other.

    Attributes:
        limits: What may be held.
    """

    def __init__(
        self,
        *,
        limits: ClientLimits | None = None,
        heartbeat_interval_s: float = 17.5,
        heartbeat_timeout_s: float = 15.0,
        catch_up_timeout_s: float = 30.0,
        prepares: bool = False,
    ) -> None:
        """Begin without a connection.

        Args:
            limits: What may be held.
            heartbeat_interval_s: Silence after which the server is pinged, seconds.
            heartbeat_timeout_s: Further silence after which it is given up, seconds.
            catch_up_timeout_s: How long one subscription may hold up the others after a reconnect.
            prepares: The program prepares each session, and says :meth:`prepared` then.
        """
        self.limits = limits or ClientLimits()
        self._heartbeat_interval_s = heartbeat_interval_s
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._catch_up_timeout_s = catch_up_timeout_s
        self._prepares = prepares
        self._is_preparing = False
        self._phase = _Phase.OFFLINE
        self._last_id = 0
        self._calls: dict[str, Call] = {}
        self._subscriptions: dict[str, SubscriptionRequest] = {}
        self._stopping: set[str] = set()
        self._queue = RequestQueue(self.limits.max_in_flight)
        self._view = View()
        self._had_session = False
        self._agreement = NOTHING_AGREED
        self._asks_for_resync = False
        self._unfinished_resyncs = 0
        self._is_resync = False
        self._is_leaving = False
        self._fault: str | None = None  # why this connection is given up, if it could recur
        self._versions = VersionOffers()
        self._opening_deadline: float | None = None
        self._heartbeat: Heartbeat | None = None
        self._events: list[ConversationEvent] = []
        self._out: list[str] = []

    @property
    def is_catching_up(self) -> bool:
        """Whether documents that are shown may be older than the session."""
        return self._view.catch_up.is_on

    @property
    def has_calls_in_flight(self) -> bool:
        """Whether a call was sent over this connection and is not finished."""
        return any(call.is_sent for call in self._calls.values())

    # The program's side.

    def call(
        self,
        name: str,
        params: Sequence[Any],
        *,
        retry: bool = True,
        identity: CallId | None = None,
        random_seed: str | None = None,
        writes: Sequence[DocumentChange] = (),
    ) -> str:
        """Call a method; its outcome is a :class:`CallFinished`.

        Args:
            name: Name of the method.
            params: Its arguments; they are written down at once, so they may change afterwards.
            retry: Send it again if the connection is lost before its result came.
            identity: With it, a server that offers ``call`` runs it at most once.
            random_seed: What a stub drew its ids from.
            writes: What a stub made of each document that it wrote; shown until the server has
                sent what the method wrote.

        Returns:
            The call's id.

        Raises:
            SessionBusy: If ``max_calls`` calls are unfinished.
            EJSONError: If an argument is no value.
        """
        if len(self._calls) >= self.limits.max_calls:
            raise SessionBusy(
                f"{self.limits.max_calls} calls are unfinished; await some of them first."
            )
        call_id = self._new_id()
        message = Method(call_id, name, params, random_seed, identity)
        self._calls[call_id] = call = Call(write_down(message), retry)
        self._queue.add(call_id, call)
        self._events.extend(self._view.call_made(call_id, writes))
        self._send_requests()
        return call_id

    def call_to_prepare(self, name: str, params: Sequence[Any]) -> str:
        """Call a method while the session is prepared; it is never sent again.

        Args:
            name: Name of the method.
            params: Its arguments.

        Returns:
            The call's id.

        Raises:
            SessionClosed: If no session is being prepared.
            EJSONError: If an argument is no value.
        """
        if not self._is_preparing or self._phase is not _Phase.OPEN:
            raise SessionClosed("The connection was lost.")
        call_id = self._new_id()
        frames = write_down(Method(call_id, name, params))
        call = Call(frames, retry=False, prepares=True, id=call_id, is_sent=True)
        self._calls[call_id] = call
        self._events.extend(self._view.call_made(call_id, ()))
        self._send_request(call)
        return call_id

    def prepared(self, now: float) -> bool:
        """Learn that the session is prepared: what waits is sent.

        Returns:
            Whether the session still goes on.
        """
        if not self._is_preparing or self._phase is not _Phase.OPEN:
            return False
        self._is_preparing = False
        if self._view.catch_up.is_awaiting(_PREPARATION):
            self._await_answers(now)
        self._send_requests()
        return True

    def preparation_failed(self, reason: str) -> None:
        """Give the connection up, because what waits must not be sent over it.

        Args:
            reason: One sentence, without data.
        """
        self._give_up(reason)

    def forget(self, call_id: str) -> None:
        """Let a call go whose outcome nobody waits for; it is not sent if it was not yet.

        What its stub wrote is shown until the server has answered, if it was sent.
        """
        call = self._calls.get(call_id)
        if call is None:
            return
        if call.is_sent and self._view.shows_stub_of(call_id):
            call.is_forgotten = True
            return
        del self._calls[call_id]
        self._queue.discard(call_id)
        self._no_longer_awaited(call_id)
        self._events.extend(self._view.call_abandoned(call_id))

    def subscribe(self, name: str, params: Sequence[Any]) -> str:
        """Subscribe; a :class:`SubscriptionReady` or :class:`SubscriptionEnded` follows.

        Returns:
            The subscription's id.

        Raises:
            SessionBusy: If there are ``max_subscriptions`` of them.
            EJSONError: If an argument is no value.
        """
        if len(self._subscriptions) >= self.limits.max_subscriptions:
            raise SessionBusy(
                f"{self.limits.max_subscriptions} subscriptions are open; stop some of them first."
            )
        subscription_id = self._new_id()
        subscription = SubscriptionRequest(write_down(Sub(subscription_id, name, params)))
        self._subscriptions[subscription_id] = subscription
        self._queue.add(subscription_id, subscription)
        self._send_requests()
        return subscription_id

    def unsubscribe(self, subscription_id: str) -> None:
        """Stop a subscription; :class:`SubscriptionEnded` follows when its documents are gone.

        Without a connection it follows at once, and the documents go after the next reconnect.
        """
        subscription = self._subscriptions.pop(subscription_id, None)
        if subscription is None:
            return
        self._queue.discard(subscription_id)
        if self._phase is _Phase.OPEN and subscription.is_sent:
            self._stopping.add(subscription_id)
            self._send(Unsub(subscription_id))
        else:
            self._events.append(SubscriptionEnded(subscription_id))
            self._no_longer_awaited(subscription_id)

    def drop_documents(self) -> None:
        """Let all documents go at once: they were sent for another person than is there now."""
        self._events.extend(self._view.drop())

    # The socket's side.

    def connection_opened(self, now: float, *, deadline: float) -> None:
        """Begin a session on a connection that is open.

        Args:
            now: Monotonic time, seconds; so in all methods.
            deadline: When the server must have said ``connected``.

        Raises:
            LocalProtocolError: If the connection before it was not reported lost.
        """
        if self._phase is not _Phase.OFFLINE:
            raise LocalProtocolError("A connection is open already.")
        self._phase = _Phase.NEGOTIATING
        self._opening_deadline = deadline
        self._heartbeat = Heartbeat(self._heartbeat_interval_s, self._heartbeat_timeout_s, now)
        self._asks_for_resync = (
            self._unfinished_resyncs < _MAX_UNFINISHED_RESYNCS
            and 0 < self._view.document_count <= self.limits.max_resync_documents
        )
        bolide: dict[str, Details] = {"resync": True} if self._asks_for_resync else {}
        self._send(Connect(*self._versions.offer(), bolide=bolide))

    def stop_sending(self) -> None:
        """Keep calls and subscriptions for the next connection; this one is about to be closed."""
        self._is_leaving = True

    def connection_lost(self) -> None:
        """Take back what the connection carried, ready to go on with the next one."""
        self._phase = _Phase.OFFLINE
        self._is_leaving = False
        if self._is_preparing:
            self._is_preparing = False
            self._events.append(PreparationLost())
        self._opening_deadline = None
        self._heartbeat = None
        self._view.catch_up.connection_lost()
        self._out.clear()
        fault, self._fault = self._fault, None
        for subscription_id in self._stopping:
            self._events.append(SubscriptionEnded(subscription_id))
        self._stopping.clear()
        resent: dict[str, Request] = {}
        for call_id, call in list(self._calls.items()):
            if not call.is_sent:
                continue
            if call.result is not None or call.is_forgotten:
                # Its data come with the next session, whether or not they were on their way.
                self._finish(call_id, call.result or Result(call_id), hold=True)
            elif call.retry and fault is None:
                call.is_updated = False
                resent[call_id] = call
            else:
                del self._calls[call_id]
                self._events.extend(self._view.call_abandoned(call_id))
                self._events.append(CallFinished(call_id, error=_invocation_failed(fault)))
        for subscription_id, subscription in list(self._subscriptions.items()):
            if subscription.is_sent and fault is not None and not subscription.was_ready:
                del self._subscriptions[subscription_id]
                error = WireError("subscription-failed", fault)
                self._events.append(SubscriptionEnded(subscription_id, error))
            elif subscription.is_sent:
                subscription.is_ready = False
                resent[subscription_id] = subscription
        self._queue.connection_lost(resent)

    def receive_frame(self, frame: str, now: float) -> None:
        """Take one text frame; messages of a kind that we do not know are skipped."""
        if self._phase not in (_Phase.NEGOTIATING, _Phase.OPEN):
            return
        if self._heartbeat is not None:
            self._heartbeat.message_received(now)
        try:
            message = parse_server_message(frame)
        except RemoteProtocolError as error:
            self.break_off(str(error))
            return
        if message is not None:
            self._receive(message, now)

    def break_off(self, reason: str) -> None:
        """Give the connection up because one side sent what the other cannot take.

        What was skipped could be a document that somebody relies on, so nothing is. Calls that
        were sent fail, and subscriptions that never were ready: to send them again could make
        this happen for ever.

        Args:
            reason: One sentence, without data.
        """
        self._give_up(reason)
        self._fault = reason

    def tick(self, now: float) -> None:
        """Do what is due by now."""
        if self._phase not in (_Phase.NEGOTIATING, _Phase.OPEN):
            return
        if self._opening_deadline is not None and now >= self._opening_deadline:
            self._give_up(
                "The server did not answer in DDP in time; check the path of the address."
            )
            return
        if self._view.catch_up.deadline is not None and now >= self._view.catch_up.deadline:
            if self._view.catch_up.is_awaiting(_RESYNC):
                self._leave_resync()
                return
            self._events.append(Complaint("Not all subscriptions came back in time; some are old."))
            self._events.extend(self._view.show_arrived())
        if self._phase is _Phase.OPEN and self._heartbeat is not None:
            self._heartbeat.tick(now)
            for _ in self._heartbeat.messages_to_send():
                self._send(Ping())
            if self._heartbeat.state is HeartbeatState.EXPIRED:
                silence_s = self._heartbeat_interval_s + self._heartbeat_timeout_s
                self._give_up(f"The server was silent for {silence_s:g} s.")

    def next_deadline(self) -> float | None:
        """Tell when :meth:`tick` must be called next, or None while nothing can become due."""
        if self._phase is _Phase.NEGOTIATING:
            return self._opening_deadline
        if self._phase is not _Phase.OPEN or self._heartbeat is None:
            return None
        deadlines = (self._heartbeat.next_deadline(), self._view.catch_up.deadline)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def frames_to_send(self) -> list[str]:
        """Hand over the frames that are to be sent; each is returned once."""
        frames, self._out = self._out, []
        return frames

    def events_received(self) -> list[ConversationEvent]:
        """Hand over what happened; each event is returned once."""
        events, self._events = self._events, []
        return events

    # Inside.

    def _new_id(self) -> str:
        self._last_id += 1
        return str(self._last_id)

    def _send(self, message: ClientMessage) -> None:
        self._send_frame(serialize(message))

    def _send_frame(self, frame: str) -> None:
        if len(self._out) >= self.limits.max_unsent_frames:
            self._give_up("The server does not read what is sent to it.")
        elif self._phase is not _Phase.GIVEN_UP:
            self._out.append(frame)

    def _send_requests(self) -> None:
        """Send what waits, as far as the server's answers allow."""
        while self._may_send and (request := self._queue.next()) is not None:
            self._send_request(request)

    @property
    def _may_send(self) -> bool:
        return self._phase is _Phase.OPEN and not self._is_leaving and not self._is_preparing

    def _send_request(self, request: Request) -> None:
        frame = request.frames.for_server(self._agreement)
        refusal = self._agreement.refusal(frame)
        if refusal is None:
            self._send_frame(frame)
            return
        if request.was_sent and isinstance(request, Call):
            reason = f"{refusal.reason} {_SENT_BEFORE}"
            refusal = WireError(refusal.error, reason, refusal.details)
        self._fail(request, refusal)

    def _fail(self, request: Request, error: WireError) -> None:
        """End a request that has no answer of the server."""
        if isinstance(request, Call):
            del self._calls[request.id]
            self._events.extend(self._view.call_abandoned(request.id))
            self._events.append(CallFinished(request.id, error=error))
        else:
            del self._subscriptions[request.id]
            self._events.append(SubscriptionEnded(request.id, error))
        self._queue.answered(request.id)
        self._no_longer_awaited(request.id)

    def _give_up(self, reason: str, *, is_refused: bool = False, tries_next: bool = False) -> None:
        if self._phase is _Phase.GIVEN_UP:
            return
        self._phase = _Phase.GIVEN_UP
        self._out.clear()
        self._events.append(GaveUp(reason, is_refused, tries_next))

    def _receive(self, message: ServerMessage, now: float) -> None:
        match message:
            case Ping():
                self._send(Pong(message.id))
            case Pong():
                pass
            case Connected():
                if self._phase is _Phase.NEGOTIATING:
                    self._open(message, now)
            case Failed():
                self._negotiate(message)
            case Error():
                self._receive_error(message)
            case _ if self._phase is not _Phase.OPEN:
                self._events.append(Complaint("The server sent data before it said connected."))
            case Added() | Changed() | Removed():
                self._receive_document(message)
            case Ready():
                for subscription_id in message.subs:
                    self._subscription_ready(subscription_id)
            case Nosub():
                self._subscription_ended(message)
            case Result():
                self._result(message)
            case Updated():
                for call_id in message.methods:
                    self._updated(call_id)
            case Want():
                self._tell_digests(message)
            case Void():
                self._resync_void()
            case Move():
                if "move" in self._agreement.extensions:
                    self._events.append(MoveAsked(message.within))
            case Late():
                because = message.because
                self._events.append(LateTold(because and _one_line(because)))

    def _receive_error(self, message: Error) -> None:
        """Learn that the server could not use a message, and perhaps which one."""
        reason = _one_line(message.reason)
        text = f"The server could not use a message that we sent: {reason}"
        self._events.append(Complaint(text))
        request = self._named_by(message.offending_message)
        if request is not None:
            self._fail(request, WireError(400, reason))
            self._send_requests()
        elif self._view.catch_up.is_awaiting(_RESYNC):
            self._leave_resync()

    def _named_by(self, offending: object) -> Request | None:
        """Return the request of this connection that the server quotes."""
        if not isinstance(offending, dict):
            return None
        quoted: dict[str, object] = offending  # pyright: ignore[reportUnknownVariableType]
        kind, id = quoted.get("msg"), quoted.get("id")
        request: Request | None = None
        if isinstance(id, str) and kind == "method":
            request = self._calls.get(id)
        elif isinstance(id, str) and kind == "sub":
            request = self._subscriptions.get(id)
        return request if request is not None and request.is_sent else None

    def _receive_document(self, message: Added | Changed | Removed) -> None:
        try:
            self._events.extend(self._view.receive(message))
        except TypeError:
            self.break_off("The server sent a document with an id that cannot be one.")

    def _open(self, message: Connected, now: float) -> None:
        self._phase = _Phase.OPEN
        self._opening_deadline = None
        self._versions.accepted()
        self._agreement = read_agreement(message)
        self._is_preparing = self._prepares
        self._events.append(SessionOpened(self._agreement.build))
        if self._had_session:
            self._begin_catch_up(now)
        self._had_session = True
        self._send_requests()

    def _negotiate(self, message: Failed) -> None:
        if self._phase is not _Phase.NEGOTIATING:
            return
        if self._versions.refused(message.version):
            self._give_up("The server speaks another version of DDP.", tries_next=True)
            return
        self._give_up(
            f"The server speaks none of the DDP versions {', '.join(VERSIONS)}; update one side.",
            is_refused=True,
        )

    def _begin_catch_up(self, now: float) -> None:
        self._is_resync = self._asks_for_resync and "resync" in self._agreement.extensions
        self._view.begin_catch_up([_PREPARATION], math.inf, resync=self._is_resync)
        if not self._is_preparing:
            self._await_answers(now)

    def _await_answers(self, now: float) -> None:
        is_resync = self._is_resync
        self._unfinished_resyncs = self._unfinished_resyncs + 1 if is_resync else 0
        awaited = [_RESYNC] if is_resync else []
        awaited.extend(self._awaited())
        self._view.catch_up.begin(awaited, now + self._catch_up_timeout_s)
        if is_resync:
            self._ask_for_resync()
        else:
            self._await_something()

    def _awaited(self) -> list[str]:
        """Return the ids of what must be answered before documents of a new session are shown."""
        # Those too that were made meanwhile: they may stand in for one that was stopped.
        awaited = list(self._subscriptions)
        # What these wrote is shown, and what they really did is to come with the rest.
        resent = self._queue.resent
        awaited.extend(id for id in self._calls if id in resent and self._view.shows_stub_of(id))
        return awaited

    def _ask_for_resync(self) -> None:
        while (request := self._queue.next_of_resync()) is not None:
            self._send_request(request)
        subs = [id for id, subscription in self._subscriptions.items() if subscription.is_sent]
        self._send(ask_for_resync(subs, self._view.digests()))

    def _tell_digests(self, message: Want) -> None:
        if not self._view.catch_up.is_awaiting(_RESYNC):
            self._events.append(Complaint("The server asked for digests without a resync."))
            return
        digests = self._view.digests()
        limit = self.limits.max_resync_chunk_bytes
        if self._agreement.max_message_bytes is not None:
            limit = min(limit, self._agreement.max_message_bytes)
        for chunk in chunks_of_digests(message.collections, digests, limit):
            self._send(chunk)
        self._resync_answered()

    def _resync_void(self) -> None:
        if self._is_resync:
            self._is_resync = False
            self.drop_documents()
            self._resync_answered()

    def _resync_answered(self) -> None:
        self._view.catch_up.answered(_RESYNC)
        self._await_something()

    def _leave_resync(self) -> None:
        """Meet the server again without a resync; what it sent meanwhile was no answer to it."""
        self._unfinished_resyncs = _MAX_UNFINISHED_RESYNCS
        self._give_up("The server did not answer the resync.", tries_next=True)

    def _await_something(self) -> None:
        """Await a barrier if there is nothing else.

        Publications that need no subscription come first in the server's queue; the answer to an
        ``unsub`` of nothing tells that they have been.
        """
        if self._view.catch_up.is_complete:
            barrier = self._new_id()
            self._view.catch_up.awaits(barrier)
            self._send(Unsub(barrier))

    def _no_longer_awaited(self, request_id: str) -> None:
        self._view.catch_up.answered(request_id)
        if self._view.catch_up.is_complete and self._phase is _Phase.OPEN:
            self._is_resync = False
            self._unfinished_resyncs = 0
            self._events.extend(self._view.finish_catch_up())

    def _answered(self, request_id: str) -> None:
        self._queue.answered(request_id)
        self._send_requests()

    def _subscription_ready(self, subscription_id: str) -> None:
        self._no_longer_awaited(subscription_id)
        subscription = self._subscriptions.get(subscription_id)
        if subscription is not None and not subscription.is_ready:
            subscription.is_ready = subscription.was_ready = True
            self._events.extend(self._view.tell(SubscriptionReady(subscription_id)))
        self._answered(subscription_id)

    def _subscription_ended(self, message: Nosub) -> None:
        self._no_longer_awaited(message.id)
        if message.id in self._subscriptions or message.id in self._stopping:
            self._subscriptions.pop(message.id, None)
            self._queue.discard(message.id)
            self._stopping.discard(message.id)
            ended = SubscriptionEnded(message.id, message.error)
            self._events.extend(self._view.tell(ended))
        self._answered(message.id)

    def _result(self, message: Result) -> None:
        call = self._calls.get(message.id)
        if call is not None and call.prepares:
            del self._calls[message.id]
            self._events.extend(self._view.call_abandoned(message.id))
            self._events.append(_finished(message.id, message))
        elif call is not None and call.is_sent and call.result is None:
            call.result = message
            if call.is_updated:
                self._finish(message.id, message)
        self._answered(message.id)

    def _updated(self, call_id: str) -> None:
        call = self._calls.get(call_id)
        if call is not None and call.is_sent:
            call.is_updated = True
            if call.result is not None:
                self._finish(call_id, call.result)

    def _finish(self, call_id: str, result: Result, *, hold: bool = False) -> None:
        del self._calls[call_id]
        event = _finished(call_id, result)
        if hold:
            self._view.catch_up.hold(event)
        else:
            self._events.extend(self._view.tell(event))
            self._no_longer_awaited(call_id)


def _finished(call_id: str, result: Result) -> CallFinished:
    value = None if result.result is UNDEFINED else result.result
    return CallFinished(call_id, value, result.error)


def _invocation_failed(fault: str | None) -> WireError:
    reason = f"{fault or _LOST} Whether the method ran is not known."
    return WireError("invocation-failed", reason)


def _one_line(text: str) -> str:
    """Make a server's text fit for a line of the log."""
    shown = "".join(c if c.isprintable() else " " for c in text[:_MAX_REASON_LENGTH])
    return shown if len(text) <= _MAX_REASON_LENGTH else f"{shown} ..."
