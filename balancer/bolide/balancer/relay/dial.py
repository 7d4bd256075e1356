"""Connections to nodes: made, proved, counted."""

import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bolide.balancer.choice.chooser import Chooser
from bolide.balancer.relay.alarm import Alarm
from bolide.balancer.relay.event_loop import EventLoop, nothing
from bolide.balancer.relay.link import Link
from bolide.balancer.tls.node_context import NodeContext, Untrusted
from bolide.balancer.worker.messages import Node

__all__ = ["Dial", "Dialer", "NodeFailure", "Upstream"]

NodeFailure: TypeAlias = Literal["refused", "timeout", "handshake", "untrusted", "broken"]

_IN_PROGRESS: Final = frozenset({0, errno.EINPROGRESS, errno.EAGAIN})


@dataclass(slots=True, eq=False)
class Upstream:
    """A connection to a node.

    Attributes:
        node: Which one.
        link: To it.
        has_answered: It was of use.
    """

    node: Node
    link: Link
    has_answered: bool = False


class Dialer:
    """Makes connections to nodes.

    Args:
        loop: Watches them.
        chooser: Learns of each connection that begins and ends.
        timeout_s: How long a connection may take, its handshake included, seconds.
        notice: Takes what was noticed of a node: its name, and what.
        room: Called when a node has room for one more.

    Attributes:
        loop: The same.
        timeout_s: The same, from now on.
        context: How nodes prove themselves.
    """

    def __init__(
        self,
        loop: EventLoop,
        chooser: Chooser,
        timeout_s: float,
        context: NodeContext,
        notice: Callable[[str, str], None],
        room: Callable[[], None],
    ) -> None:
        """Begin without any."""
        self.context = context
        self.loop = loop
        self._chooser = chooser
        self.timeout_s = timeout_s
        self._notice = notice
        self._room = room

    def dial(
        self, node: Node, on_connected: Callable[[Upstream], None], on_failed: Callable[[], None]
    ) -> "Dial":
        """Begin to connect; one of both is called, in a later turn.

        Raises:
            OSError: If there is no room for a socket.
        """
        dial = Dial(self, node, on_connected, on_failed)
        self._chooser.opened(node.name)
        return dial

    def answered(self, upstream: Upstream) -> None:
        """Learn that it was of use, for the first time."""
        upstream.has_answered = True
        self._notice(upstream.node.name, "answered")
        engine = upstream.link.engine
        if engine is not None:
            with suppress(OSError):  # it may be gone already
                self.context.remember(upstream.node.name, engine)

    def failed(self, upstream: Upstream, how: NodeFailure) -> None:
        """Learn that it was not."""
        self._notice(upstream.node.name, how)

    def left(self, upstream: Upstream) -> None:
        """Learn that it is not used any more."""
        self._gone(upstream.node.name)

    def not_connected(self, name: str, how: NodeFailure | None) -> None:
        """Learn that a connection did not come about; None: it was given up."""
        self._gone(name)
        if how is not None:
            self._notice(name, how)

    def _gone(self, name: str) -> None:
        self._chooser.closed(name)
        self._room()


class Dial:
    """A connection that is being made.

    Args:
        dialer: Whose it is.
        node: To which.
        on_connected: Takes it.
        on_failed: Called if there is none.
    """

    __slots__ = ("_alarm", "_dialer", "_error", "_link", "_node", "_on_connected", "_on_failed")

    def __init__(
        self,
        dialer: Dialer,
        node: Node,
        on_connected: Callable[[Upstream], None],
        on_failed: Callable[[], None],
    ) -> None:
        """Begin."""
        self._dialer = dialer
        self._node = node
        self._on_connected = on_connected
        self._on_failed: Callable[[], None] | None = on_failed
        loop = dialer.loop
        family = socket.AF_INET6 if ":" in node.host else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._alarm = Alarm(loop, self._too_late)
        self._alarm.set(dialer.timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        engine = dialer.context.engine(connection, node.name, node.server_name)
        self._link = link = Link(loop, connection, engine)
        # An error that is known already is told in a later turn, as any other.
        self._error = connection.connect_ex((node.host, node.port))
        link.on_closed = self._cut
        link.on_writable = self._reachable
        link.wait_to_write(True)
        link.watch()

    def cancel(self) -> None:
        """Give it up."""
        self._end(None)

    def _reachable(self) -> None:
        connection = self._link.connection
        if self._error not in _IN_PROGRESS or connection.getsockopt(
            socket.SOL_SOCKET, socket.SO_ERROR
        ):
            self._fail("refused")
            return
        self._shake_hands()

    def _shake_hands(self) -> None:
        link = self._link
        if link.is_closed:
            return
        engine = link.engine
        if engine is not None:
            try:
                engine.do_handshake()
            except ssl.SSLWantReadError:
                link.on_readable = self._shake_hands
                link.wait_to_read()
                return
            except ssl.SSLWantWriteError:
                link.on_writable = self._shake_hands
                link.wait_to_write(True)
                return
            except ssl.SSLCertVerificationError:
                self._fail("untrusted")
                return
            except OSError:
                self._fail("handshake")
                return
            try:
                self._dialer.context.prove(engine, self._node.name)
            except Untrusted:
                self._fail("untrusted")
                return
            except OSError:  # it is gone already
                self._fail("handshake")
                return
        # Whoever takes it reads on.
        link.on_readable = nothing
        link.on_writable = None
        link.wait_to_read()
        self._alarm.release()
        self._on_failed = None
        self._on_connected(Upstream(self._node, link))

    def _too_late(self) -> None:
        self._fail("timeout")

    def _cut(self) -> None:
        self._fail("handshake")

    def _fail(self, how: NodeFailure) -> None:
        on_failed = self._on_failed
        self._end(how)
        if on_failed is not None:
            on_failed()

    def _end(self, how: NodeFailure | None) -> None:
        if self._on_failed is None:
            return
        self._on_failed = None
        self._alarm.release()
        self._link.on_closed = nothing
        self._link.abort()
        self._dialer.not_connected(self._node.name, how)
