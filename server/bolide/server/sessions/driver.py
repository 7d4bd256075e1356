"""The driver of one session: runs its handlers and moves its frames.

The session says what is to be done; the driver does it and tells the session how it went. After
every call of the session it looks for new events (:meth:`SessionDriver.pump`), and sends what
gathered in one turn of the event loop in one go.
"""

import asyncio
from collections.abc import Mapping
from typing import Literal, assert_never

from bolide.server.access.decisions import Question, decide
from bolide.server.access.invocation import Invocation, SessionInfo
from bolide.server.clock import Timer
from bolide.server.methods.errors import log_failure
from bolide.server.moment import Moment
from bolide.server.sessions.events import (
    DigestsWanted,
    MethodRequested,
    SessionClosed,
    SessionOpened,
    SubscribeRequested,
    SubscriptionStopped,
)
from bolide.server.sessions.ratelimit import Request
from bolide.server.sessions.runs.method_run import MethodRun
from bolide.server.sessions.runs.subscription_runs import SubscriptionRuns
from bolide.server.sessions.services import Services
from bolide.server.sessions.session import DISCONNECTED, Session, SessionState
from bolide.server.sessions.slow_reader import SlowReader
from bolide.server.sessions.transport import Transport

__all__ = ["SessionDriver"]


class SessionDriver:
    """One session with its handlers.

    Args:
        services: What the sessions of the node share.
        transport: Where packets go.
        session_id: 17 characters, hard to guess.
        client_address: The peer's address, None if unknown.
        headers: Those of the handshake that handlers may see, names in lower case.

    Attributes:
        session: The state machine.
        runs: What runs of its subscriptions.
        user_id: Who is logged in.
        info: What handlers learn of the session.
        ended: The session is over, and so is its socket.
        accepted_at: When its socket was accepted, monotonic seconds.
    """

    __slots__ = (
        "_closing",
        "_first_readings",
        "_slow_reader",
        "_timed",
        "_timer",
        "_timer_at",
        "_transport",
        "accepted_at",
        "ended",
        "info",
        "log",
        "runs",
        "services",
        "session",
        "user_id",
    )

    def __init__(
        self,
        services: Services,
        transport: Transport,
        *,
        session_id: str,
        client_address: str | None,
        headers: Mapping[str, str],
    ) -> None:
        """Wait for the peer's first message."""
        self.services = services
        self.user_id: str | None = None
        self.accepted_at = services.clock.now()
        self.log = services.log.bind(session=session_id)
        self.info = SessionInfo(session_id, client_address, headers, self._close_by_handler)
        settings = services.settings
        interval, timeout = settings.heartbeat_interval_s, settings.heartbeat_timeout_s
        self.session = Session(
            session_id=session_id,
            limits=services.limits,
            heartbeat=(interval, timeout) if interval > 0 else None,
            now=services.clock.now(),
            strategy_of=services.app.strategy_of,
            build_id=services.build_id,
            framing=transport.framing,
            send=transport.send,
        )
        self.ended = Moment()
        self._transport = transport
        self.runs = SubscriptionRuns(self)
        # As long as the socket is full.
        self._slow_reader: SlowReader | None = None
        # The methods that have not taken long yet, in order of when they will have.
        self._timed: dict[MethodRun, float] = {}
        self._timer: Timer | None = None
        self._timer_at: float | None = None
        self._closing: SessionClosed | None = None
        self._first_readings: asyncio.Semaphore | None = None
        self._watch_time()

    @property
    def first_readings(self) -> asyncio.Semaphore:
        """What is held while a live query is joined, which may read the database."""
        if self._first_readings is None:
            self._first_readings = asyncio.Semaphore(self.services.limits.max_first_readings)
        return self._first_readings

    # The socket's side

    def receive_frame(self, frame: str) -> None:
        """Take one DDP message of the peer."""
        services = self.services
        services.metrics.messages_received.value += 1
        self.session.receive_frame(frame, services.clock.now())
        self.pump()

    def receive_bad_frame(self, reason: str = "Bad request") -> None:
        """Learn of a frame that holds no message."""
        self.session.receive_bad_frame(reason, self.services.clock.now())
        self.pump()

    def disconnected(self) -> None:
        """Learn that the peer is gone."""
        self.session.disconnected()
        self.pump()

    def move(self, within_s: float) -> None:
        """Ask the client to connect anew, if it knows how.

        Args:
            within_s: The time it has, seconds.
        """
        self.session.move(within_s)
        self.pump()

    def late(self, because: str) -> None:
        """Tell the client that what it shows may be late, if it knows what that means.

        Args:
            because: Why, in words; empty: it is not any more.
        """
        self.session.late(because)
        self.pump()

    def writing_paused(self) -> None:
        """Learn that the socket is full; the client must take something now and then."""
        self.session.writing_paused()
        services = self.services
        self._slow_reader = SlowReader(
            self._transport,
            services.clock,
            services.limits.slow_reader_timeout_s,
            lambda: self.close("You read too slowly", at_fault=True),
        )

    def writing_resumed(self) -> None:
        """Learn that the socket has room again."""
        self._stop_slow_reader()
        self.session.writing_resumed()
        self.pump()

    def close(self, reason: str, *, at_fault: bool = False) -> None:
        """End the session from our side."""
        self.session.close(reason, at_fault=at_fault)
        self.pump()

    # The handlers' side

    def pump(self) -> None:
        """Do what the session asks for, and see to it that its frames go out."""
        while events := self.session.events_received():
            for event in events:
                match event:
                    case MethodRequested():
                        MethodRun(self, event).start()
                    case SessionOpened():
                        self._open()
                        if self.services.late_because:
                            self.session.late(self.services.late_because)
                    case SubscribeRequested(work, subscription):
                        self.runs.start(subscription, work)
                    case SubscriptionStopped(subscription):
                        self.runs.stop(subscription)
                    case DigestsWanted():
                        self.services.live_queries.later(self._make_digests)
                    case SessionClosed():
                        self._closing = event
                    case _:
                        assert_never(event)
        self.services.turn.flush_later(self._flush)

    def method_begins(self, run: MethodRun, now: float) -> None:
        """Watch how long a method takes.

        Args:
            run: Its run.
            now: Monotonic time, seconds.
        """
        due = self._timed[run] = now + self.services.settings.method_timeout_s
        if self._timer_at is None or due < self._timer_at:
            self._watch_time()

    def method_ends(self, run: MethodRun) -> None:
        """Do not watch a method any more."""
        self._timed.pop(run, None)
        if self._closing is not None and not self._timed:
            self._stop_timer()

    def check_rate(self, kind: Literal["method", "subscription"], name: str) -> None:
        """Count a request against the rate limits.

        Raises:
            MethodError: If there were too many.
        """
        if not self.services.rate_limiter.has_rules:
            return
        request = Request(
            type=kind,
            name=name,
            user_id=self.user_id,
            client_address=self.info.client_address,
            connection_id=self.info.id,
        )
        self.services.rate_limiter.check(request, self.services.clock.now())

    async def change_user(self, user_id: str | None) -> None:
        """Let another user be logged in, and run every publication again for it.

        Returns when the client was sent the difference.
        """
        named = self.session.begin_user_change()
        self.user_id = user_id
        if self.services.presence is not None:
            self.services.presence.user_changed(self.info.id)
        if self.session.state is not SessionState.OPEN:
            return
        try:
            self.pump()
            await self.runs.renew(named)
        finally:
            self.session.end_user_change()
            self.pump()

    def upholds(self, invocation: Invocation) -> bool:
        """Tell whether the session is open, of the same user, and what was allowed still is."""
        if self.session.state is not SessionState.OPEN or self.user_id != invocation.user_id:
            return False
        return not invocation.decisions.difference(self._decide).lost

    def access_changed(self, user_id: str | None) -> None:
        """Ask again what the subscriptions were told; run those again that are told otherwise.

        Where something is denied now, the documents are taken back before this returns. Where
        something is only allowed now, they stay until the new run's documents are there.

        Args:
            user_id: Whose decisions changed; None for everybody's.
        """
        if user_id not in (None, self.user_id) or self.session.state is not SessionState.OPEN:
            return
        self.runs.ask_again()
        if self.services.presence is not None:
            self.services.presence.access_changed(self.info.id, self._decide)

    @property
    def socket_bytes(self) -> int:
        """What was given to the socket and not taken by the peer's system yet, bytes."""
        return self._transport.waiting_bytes

    # Inside

    def _decide(self, question: Question) -> bool:
        return decide(question, self.services.app.authorize, lambda: self.log)

    def _open(self) -> None:
        self.services.metrics.sessions.inc()
        self._watch_time()
        self.runs.start_universal()

    def _make_digests(self) -> None:
        try:
            self.session.make_digests()
        except Exception as error:  # others wait for their turn behind it
            log_failure(self.log, error)
            self.session.close("The server failed; connect again")
        self.pump()

    def _flush(self) -> None:
        try:
            self._send_packets()
        except Exception as error:  # what a client sees must not depend on what was lost
            log_failure(self.log, error)
            self.session.close("The server failed; connect again")
            self.pump()
        if self._closing is not None and not self.ended.is_set():
            self._end(self._closing)

    def _send_packets(self) -> None:
        session = self.session
        # The socket says so when it is full, and then nothing can be sent.
        while session.has_packets:
            packets = session.packets_to_send()
            if packets:
                self.services.metrics.messages_sent.value += len(packets)
                self._transport.send(self._transport.framing.bundle(packets))

    def _end(self, closing: SessionClosed) -> None:
        self._stop_slow_reader()
        if self.session.was_opened:
            self.services.metrics.sessions.dec()
        # Clients that leave are no news, and there may be many.
        log = self.log.debug if closing.reason == DISCONNECTED else self.log.info
        log("session closed", reason=closing.reason)
        self._transport.close(closing.reason, at_fault=closing.at_fault)
        self.ended.set()
        self._stop_timer()
        self._watch_time()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._timer_at = None

    def _watch_time(self) -> None:
        """Be woken at the next deadline; a later one is looked at when that comes."""
        deadline = self.session.next_deadline()
        for due in self._timed.values():
            deadline = due if deadline is None else min(deadline, due)
            break
        if deadline is None or (self._timer_at is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self.services.clock.call_at(deadline, self._wake)

    def _wake(self) -> None:
        self._timer = self._timer_at = None
        now = self.services.clock.now()
        self.session.tick(now)
        for run in [run for run, due in self._timed.items() if due <= now]:
            del self._timed[run]
            run.take_long()
        self.pump()
        self._watch_time()

    def _stop_slow_reader(self) -> None:
        if self._slow_reader is not None:
            self._slow_reader.stop()
            self._slow_reader = None

    def _close_by_handler(self) -> None:
        self.close("The application closed the session")
