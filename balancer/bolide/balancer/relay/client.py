"""A client's connection: request after request, each to the node it belongs to, or a tunnel.

Theory of operation. ``HEAD`` until a request head is complete. ``ROUTING`` while there is no
connection to a node: one is being made, or all nodes are full and the request waits in the queue.
``EXCHANGE`` until its response is complete; then ``HEAD`` again, or ``TUNNEL`` after a true 101.
``OVER`` once the connection was ended: what it still owes is the link's matter.

There is one connection to a node for each client connection, and one request at a time on it, so
nothing that a node sends can be taken for the answer to somebody else. What a client sends after a
request waits; what a node sends unasked ends its connection.
"""

from enum import IntEnum
from select import EPOLLIN
from typing import TYPE_CHECKING, Final

from bolide.balancer.heads.answers import refusal
from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.reading import cut
from bolide.balancer.heads.request import KnownFields, RequestHead, parse_request
from bolide.balancer.heads.response import ResponseHead
from bolide.balancer.relay.access_log import Entry, begin_of_line
from bolide.balancer.relay.alarm import Alarm
from bolide.balancer.relay.event_loop import nothing
from bolide.balancer.relay.exchange import Exchange, Failure
from bolide.balancer.relay.link import BUFFER, VIEW, Link
from bolide.balancer.relay.shortcut import HOLDS_S, MAX_HEAD_BYTES, Shortcut
from bolide.balancer.relay.tunnel import Tunnel

if TYPE_CHECKING:
    from bolide.balancer.relay.dial import Dial, NodeFailure, Upstream
    from bolide.balancer.relay.relay import Relay
    from bolide.balancer.worker.messages import Node

__all__ = ["ClientConnection"]

_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})
_NONE: Final[frozenset[str]] = frozenset()
_TRIES: Final = 3
"""To how many nodes a request goes that none of them took."""


class _State(IntEnum):
    HEAD = 0
    ROUTING = 1
    EXCHANGE = 2
    TUNNEL = 3
    OVER = 4


# Python looks members up by a method of their class, which takes as long as two calls.
_HEAD: Final = _State.HEAD
_ROUTING: Final = _State.ROUTING
_EXCHANGE: Final = _State.EXCHANGE
_TUNNEL: Final = _State.TUNNEL
_OVER: Final = _State.OVER


class ClientConnection:
    """One client, from the end of its handshake.

    Args:
        relay: What all connections of a worker share.
        link: To the client; reading begins here.
        address: The client's IP address.
        forwarding: Fields that tell a node of the client.
    """

    __slots__ = (
        "_address", "_alarm", "_answered", "_back", "_began", "_dial", "_exchange", "_fields",
        "_forwarding", "_head", "_is_known", "_known", "_link", "_named", "_of_tunnel",
        "_owes_cookie", "_relay", "_request", "_shortcut", "_state", "_tried", "_tunnel",
    )  # fmt: skip

    def __init__(self, relay: "Relay", link: Link, address: str, forwarding: bytes) -> None:
        """Wait for a request."""
        self._relay = relay
        self._link = link
        self._address = address
        self._forwarding = forwarding
        self._state = _HEAD
        self._head = b""
        self._request: RequestHead | None = None
        # The head of that request, as it came, and that of the answer to it.
        self._known: bytes = b""
        self._answered: bytes = b""
        self._fields = KnownFields()
        self._is_known = False
        self._shortcut: Shortcut | None = None
        self._of_tunnel = b""
        self._back: Upstream | None = None
        self._dial: Dial | None = None
        self._exchange: Exchange | None = None
        self._tunnel: Tunnel | None = None
        self._tried: frozenset[str] = frozenset()
        self._owes_cookie = False
        # The node that the client was told of on this connection.
        self._named = ""
        self._began = 0.0
        self._alarm = Alarm(relay.loop, self._time_is_over)
        self._alarm.set(relay.limits.head_timeout_s)
        link.on_readable = self._readable
        link.on_drained = self._drained
        link.on_closed = self._closed
        link.is_reading = True
        link.handle(self._on_events)

    # Events of the client's connection

    def _on_events(self, events: int) -> None:
        """Look whether a request comes that came before: then all that it costs is in here."""
        link, shortcut = self._link, self._shortcut
        if shortcut is None or events != EPOLLIN or self._state is not _HEAD or self._head:
            link.on_events(events)
            return
        count = link.receive()
        relay = self._relay
        if (
            count == shortcut.asked_bytes
            and BUFFER.startswith(shortcut.asked)
            and shortcut.epoch == relay.epoch
            and (now := relay.loop.now) < shortcut.until
        ):
            assert self._exchange is not None
            self._began = now
            self._state = _EXCHANGE
            self._alarm.set(relay.limits.answer_timeout_s)
            self._exchange.ask_again(shortcut)
        else:
            self._take(count)

    def _readable(self) -> None:
        if self._state is _HEAD:
            self._take(self._link.receive())
            return
        # Who says something between request and answer takes no shortcut.
        self._shortcut = None
        if self._state is _EXCHANGE:
            assert self._exchange is not None
            self._exchange.read_front()
        else:  # it waits in its socket; the kernel is told only now, for that is rare
            self._link.is_reading = False

    def _drained(self) -> None:
        if self._state is _EXCHANGE:
            assert self._exchange is not None
            self._exchange.front_drained()
        elif self._state is _HEAD:
            self._await_head()

    def _closed(self) -> None:
        if self._state is _EXCHANGE:
            assert self._exchange is not None
            self._exchange.front_closed()
            return
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        if self._state is _ROUTING:
            self._log(499, "client left")
        self._end()

    def _time_is_over(self) -> None:
        match self._state:
            case _State.HEAD:
                self._no_head()
            case _State.EXCHANGE:
                self._check_exchange()
            case _State.TUNNEL:
                self._check_tunnel()
            case _:
                pass

    # A request's head

    def _await_head(self) -> None:
        """Take the next request; it may have come already."""
        limits = self._relay.limits
        if self._link.pending is not None:  # who does not read is asked no more
            self._alarm.set(limits.flush_timeout_s)
            self._link.is_reading = False
            return
        self._alarm.set(limits.head_timeout_s if self._head else limits.idle_timeout_s)
        self._link.is_reading = True
        if self._head:
            self._take_head()

    def _take(self, count: int | None) -> None:
        """Take what was read of a head."""
        if count is None:
            return
        if not count:
            self._end()
            return
        if not self._head:
            self._head = bytes(VIEW[:count])
            self._take_head()
            if self._head and self._state is _HEAD:
                self._alarm.set(self._relay.limits.head_timeout_s)
        else:
            self._head += VIEW[:count]
            self._take_head()

    def _take_head(self) -> None:
        relay, head = self._relay, self._head
        self._is_known = head == self._known
        if self._is_known:
            self._head = b""
        else:
            self._shortcut = None
            try:
                end = cut(head, relay.limits.max_head_bytes)
                if not end:
                    return
                self._request = parse_request(
                    head[:end],
                    max_fields=relay.limits.max_fields,
                    cookie_name=relay.affinity.name,
                    known=self._fields,
                )
            except HeadError as error:
                self._request = None
                self._began = relay.loop.now
                self._refuse(error.status, error.name)
                return
            self._known = head[:end] if end <= MAX_HEAD_BYTES else b""
            self._head = head[end:]
        self._began = relay.loop.now
        self._tried = _NONE
        self._state = _ROUTING
        self._route()

    def _no_head(self) -> None:
        if self._head:
            self._refuse(408, "slow-head")
        else:
            self._end()

    # To which node it goes

    def _route(self) -> None:
        """Find the node of the request; its own, the one of this connection, or another."""
        relay, request = self._relay, self._request
        assert request is not None
        named = relay.affinity.open(request.cookie) if request.cookie else None
        back = self._back
        wanted = None
        if back is not None and named in (None, back.node.name):
            wanted = relay.chooser.keeps(back.node.name)
        elif named is not None:
            wanted = relay.chooser.sticky(named, relay.loop.now)
        if back is not None and (wanted is None or wanted.name != back.node.name):
            self._leave_node()
            back = None
        if wanted is None or wanted.name in self._tried:
            wanted = relay.chooser.pick(relay.loop.now, avoid=self._tried)
        if wanted is None:
            self._find_no_node()
            return
        self._owes_cookie = wanted.name != self._named and (
            named != wanted.name or relay.affinity.wants_renewal(request.cookie or b"")
        )
        if self._owes_cookie:
            self._named = wanted.name
        if back is not None:
            self._ask()
        else:
            self._alarm.stop()
            self._connect(wanted)

    def _find_no_node(self) -> None:
        relay = self._relay
        self._alarm.stop()
        if relay.chooser.is_full(self._tried) and relay.queue.put(self.go_on, self._no_room):
            return
        self._refuse(503, "no-node")

    def go_on(self) -> bool:
        """Try again, because a node has room; returns whether this connection still waits."""
        if self._state is not _ROUTING:
            return False
        self._route()
        return True

    def _no_room(self) -> None:
        if self._state is _ROUTING:
            self._refuse(503, "queue-timeout")

    def _connect(self, node: "Node") -> None:
        self._tried |= {node.name}
        try:
            self._dial = self._relay.dialer.dial(node, self._connected, self._not_connected)
        except OSError:
            self._refuse(503, "no-descriptors")

    def _connected(self, upstream: "Upstream") -> None:
        self._dial = None
        self._back = upstream
        limits = self._relay.limits
        self._exchange = Exchange(
            self._link,
            upstream.link,
            max_head_bytes=limits.max_head_bytes,
            max_fields=limits.max_fields,
            asker=self,
            on_idle=self._node_spoke,
        )
        self._ask()

    def _not_connected(self) -> None:
        """Try another node: this one has not got a byte of the request."""
        self._dial = None
        if len(self._tried) < _TRIES:
            self._route()
        else:
            self._refuse(503, "no-node-took-it")

    # The exchange

    def _ask(self) -> None:
        relay, request, exchange = self._relay, self._request, self._exchange
        assert request is not None
        assert exchange is not None
        extra = relay.hsts
        if self._owes_cookie:
            extra += relay.affinity.set_cookie(self._named)
        early = b""
        if request.length:
            early, self._head = self._head, b""
        self._state = _EXCHANGE
        limits = relay.limits
        self._alarm.set(limits.body_timeout_s if request.length else limits.answer_timeout_s)
        exchange.ask(request, early, forwarding=self._forwarding, extra=extra)

    def _check_exchange(self) -> None:
        exchange = self._exchange
        assert exchange is not None
        if not exchange.is_stuck():
            limits = self._relay.limits
            awaits_answer = exchange.is_asked and exchange.answer is None
            self._alarm.set(limits.answer_timeout_s if awaits_answer else limits.body_timeout_s)
        elif exchange.answer is not None:
            self._cut("timeout")
        elif exchange.is_asked:
            self._back_failed("timeout")
            self._refuse(504, "no-answer")
        else:
            self._refuse(408, "slow-body")

    def answered(
        self, answer: ResponseHead, *, keeps_front: bool, keeps_back: bool, says_more: bool
    ) -> None:
        """Learn that a response was passed on."""
        back, exchange = self._back, self._exchange
        assert back is not None
        assert exchange is not None
        if says_more:
            self._relay.count("unasked_total")
            self._relay.dialer.failed(back, "broken")
        elif not back.has_answered:
            self._relay.dialer.answered(back)
        if exchange.rest:
            self._head, exchange.rest = exchange.rest, b""
        self._log(answer.status, "more-than-was-asked-for" if says_more else "")
        if not keeps_front or self._relay.is_retiring or not self._link.is_open:
            self._end()
            return
        if keeps_back and back.link.is_open:
            back.link.is_reading = True
            if self._is_known:
                self._know(answer, exchange.whole_head)
        else:
            self._leave_node()
        self._state = _HEAD
        self._await_head()

    def _know(self, answer: ResponseHead, head: bytes) -> None:
        """Make a shortcut if the same answer came to the same request as before."""
        relay, request, back, now = self._relay, self._request, self._back, self._relay.loop.now
        assert request is not None
        assert back is not None
        is_same = head == self._answered and bool(head)
        self._answered = head
        if self._owes_cookie or request.length:
            return
        if not is_same:
            return
        self._shortcut = Shortcut(
            asked=self._known,
            for_node=request.serialize(self._forwarding),
            answered=head,
            answer=answer,
            for_client=answer.serialize(relay.hsts),
            line=self._line(answer.status),
            epoch=relay.epoch,
            until=now + HOLDS_S,
        )

    def answered_again(self, shortcut: Shortcut) -> None:
        """Learn that the answer of a shortcut was passed on; both connections stay."""
        relay, link, back = self._relay, self._link, self._back
        assert back is not None
        relay.responses[shortcut.answer.status // 100] += 1
        log = relay.access_log
        if log.is_open:
            log.write(shortcut.line, link.received, back.link.received, self._began)
        if relay.is_retiring or not link.is_open:
            self._end()
            return
        self._state = _HEAD
        if link.pending is None and self._shortcut is not None:
            self._alarm.set(relay.limits.idle_timeout_s)
        else:
            self._await_head()

    def failed(self, failure: Failure, detail: str, answer: ResponseHead | None) -> None:
        """Learn that one side failed."""
        if failure == "client left":
            self._log(answer.status if answer else 499, "client left")
            self._end()
            return
        if failure == "node left" and answer is None and self._may_ask_again():
            self._leave_node()
            self._named = ""
            self._state = _ROUTING
            self._route()
            return
        if failure != "bad request":
            self._back_failed("broken")
        if answer is None:
            self._refuse(400 if failure == "bad request" else 502, detail)
        else:
            self._cut(detail)

    def _may_ask_again(self) -> bool:
        """Tell whether a request may be repeated that a node ended its connection before.

        It ends connections that were idle for long, and a request may meet that. Those that change
        nothing, and whose body is not gone already, are safe (RFC 9110, 9.2.2).
        """
        request, back = self._request, self._back
        assert request is not None
        assert back is not None
        is_safe = request.method in _SAFE and not request.length and not request.websocket_key
        return is_safe and back.has_answered and self._link.is_open

    # The tunnel

    def switched(self, answer: ResponseHead, early: bytes) -> None:
        """Learn that both connections are a tunnel from now on."""
        relay, link, back = self._relay, self._link, self._back
        assert back is not None
        relay.dialer.answered(back)
        self._state = _TUNNEL
        ours, self._head, self._known, self._answered = self._head, b"", b"", b""
        link.send(early)
        back.link.send(ours)
        if link.is_closed or back.link.is_closed:
            self._tunnel_over("cut")
            return
        relay.count("tunnels_open")
        relay.count("tunnels_total")
        # It may stay for days: of the request only that is left which the log tells.
        self._of_tunnel = self._line(101)
        self._exchange = self._request = None
        self._fields.forget()
        self._tunnel = Tunnel(link, back.link, self._tunnel_over)
        self._alarm.set(relay.limits.flush_timeout_s)

    def _check_tunnel(self) -> None:
        tunnel, relay = self._tunnel, self._relay
        assert tunnel is not None
        if tunnel.is_stuck():
            tunnel.end("stuck")
        elif tunnel.idle_checks * relay.limits.flush_timeout_s >= relay.limits.tunnel_timeout_s:
            tunnel.end("idle")
        else:
            self._alarm.set(relay.limits.flush_timeout_s)

    def _tunnel_over(self, why: str) -> None:
        if self._tunnel is not None:
            self._tunnel = None
            self._relay.count("tunnels_open", -1)
        self._relay.count(f'tunnels_ended_total{{why="{why}"}}')
        self._log(101, why)
        self._over()

    # The end

    def abort(self) -> None:
        """End both sides at once."""
        self._link.abort()

    def retire(self) -> None:
        """End if nothing is asked; if something is, this is the last."""
        if self._state is _HEAD and not self._head:
            self._request = None
            self._end()

    def _node_spoke(self) -> None:
        """The node ended its connection, or said something that nobody asked for."""
        back = self._back
        assert back is not None
        count = None if back.link.is_closed else back.link.receive()
        if count:
            self._relay.count("unasked_total")
            self._end()
        elif count == 0 or back.link.is_closed:
            self._leave_node()

    def _back_failed(self, how: "NodeFailure") -> None:
        back = self._back
        if back is not None:
            self._relay.dialer.failed(back, how)
            back.link.on_closed = nothing
            back.link.abort()
            self._leave_node()

    def _leave_node(self) -> None:
        back, self._back = self._back, None
        self._exchange = self._shortcut = None
        if back is not None:
            back.link.on_closed = nothing
            back.link.end()
            self._relay.dialer.left(back)

    def _refuse(self, status: int, name: str) -> None:
        """Answer ourselves, and end."""
        relay = self._relay
        if self._link.is_open:
            relay.count(f'refusals_total{{why="{name}"}}')
            self._link.on_closed = nothing  # should it fail now: it ends below
            self._link.send(refusal(status, relay.retry_after_s, relay.hsts))
        self._log(status, name)
        self._end()

    def _cut(self, why: str) -> None:
        """End so that the client sees that the response is not complete."""
        self._log(0, why)
        self._over()
        self._link.abort()

    def _end(self) -> None:
        self._over()
        self._link.end()

    def _over(self) -> None:
        self._state = _OVER
        self._alarm.release()
        self._leave_node()
        if self._link.is_closed:
            self._gone()
        else:
            self._link.on_closed = self._gone

    def _gone(self) -> None:
        self._relay.client_left(self, self._address)

    def _log(self, status: int, why: str) -> None:
        relay, back = self._relay, self._back
        relay.responses[status // 100] += 1
        log = relay.access_log
        if log.is_open:
            sent = back.link.received if back else 0
            line = self._of_tunnel or self._line(status)
            log.write(line, self._link.received, sent, self._began, why)

    def _line(self, status: int) -> bytes:
        """Return the begin of a line of the access log."""
        request, back = self._request, self._back
        entry = Entry(client=self._address, status=status, node=back.node.name if back else "")
        if request is not None:
            entry.method = request.method.decode("ascii")
            entry.host = request.host.decode("ascii", "replace")
            entry.path = request.path.decode("ascii", "replace")
        return begin_of_line(entry)
