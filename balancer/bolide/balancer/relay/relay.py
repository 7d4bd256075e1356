"""What all connections of a worker share: how they work, and whom they tell.

A new configuration is for connections and requests that begin after it. Those that are open keep
what they have; their limits are looked up when they begin to wait.
"""

import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from random import Random
from time import time
from typing import Final

from bolide.balancer.affinity.affinity import Affinity
from bolide.balancer.choice.chooser import Chooser
from bolide.balancer.heads.forwarding import forwarding_fields
from bolide.balancer.relay.accept import Acceptor, Guest
from bolide.balancer.relay.access_log import AccessLog
from bolide.balancer.relay.client import ClientConnection
from bolide.balancer.relay.dial import Dialer
from bolide.balancer.relay.event_loop import EventLoop
from bolide.balancer.relay.link import Link
from bolide.balancer.relay.log_file import LogFile
from bolide.balancer.relay.queue import Queue
from bolide.balancer.relay.redirect import RedirectConnection
from bolide.balancer.relay.watchdog import Watchdog
from bolide.balancer.tls.node_context import NodeContext
from bolide.balancer.tls.server_context import ServerContext
from bolide.balancer.worker.messages import Configure, View

__all__ = ["DESCRIPTORS_PER_CONNECTION", "Relay"]

DESCRIPTORS_PER_CONNECTION: Final = 2
"""One to the client, one to the node."""


_RESPONSES: Final = (
    "responses_cut_total",
    *(f'responses_total{{class="{hundreds}xx"}}' for hundreds in range(1, 10)),
)


class Relay:
    """The data plane of one worker.

    Args:
        loop: Runs it.
        configuration: How to work, at first.
        notice: Takes what was noticed of a node: its name, and what.

    Attributes:
        limits: Of peers.
        counts: Name of a metric with its labels -> number; responses are not in it.
        responses: How many there were of each class; the first ones were cut.
        epoch: Another number for each view and each configuration.
        is_retiring: The last requests of connections are answered; nobody new comes.
    """

    def __init__(
        self, loop: EventLoop, configuration: Configure, notice: Callable[[str, str], None]
    ) -> None:
        """Begin without listening sockets, and without nodes."""
        limits = configuration.limits
        self.loop = loop
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self.responses = [0] * 10
        self.epoch = 0
        self.watchdog = Watchdog(loop, limits.max_tls_read_ms)
        self.queue = Queue(loop, max_length=limits.max_queue, timeout_s=limits.queue_timeout_s)
        self._clients: set[ClientConnection | RedirectConnection] = set()
        self._addresses: Counter[str] = Counter()
        self._guests: dict[Guest, None] = {}
        self._acceptors: list[Acceptor] = []
        self._is_tidying = False
        self._on_empty: Callable[[], None] | None = None
        self.is_retiring = False
        self._cookie_keys: tuple[bytes, ...] = ()
        self.access_log = AccessLog(loop, _log_file(configuration))
        self._server = ServerContext(configuration.certificates)
        self._use(configuration)
        self.chooser = Chooser(
            configuration.policy, slow_start_s=configuration.slow_start_s, rng=Random()
        )
        self.dialer = Dialer(
            loop,
            self.chooser,
            limits.connect_timeout_s,
            self._node_context(configuration),
            self._noticing(notice),
            self._node_has_room,
        )

    # What connections ask and tell

    def client_left(self, client: "ClientConnection | RedirectConnection", address: str) -> None:
        """Learn that a client's connection is over."""
        self._clients.discard(client)
        self.left(address)

    def count(self, name: str, number: int = 1) -> None:
        """Count something."""
        self.counts[name] += number

    def all_counts(self) -> dict[str, float]:
        """Return all that was counted: name of a metric with its labels -> number."""
        counts: dict[str, float] = dict(self.counts)
        counts.update(
            {
                name: number
                for name, number in zip(_RESPONSES, self.responses, strict=True)
                if number
            }
        )
        return counts

    @property
    def open_clients(self) -> int:
        """How many connections of clients there are."""
        return len(self._clients)

    # accept.Room

    def has_room(self) -> bool:
        """Tell whether one more connection may be taken."""
        open_count = len(self._clients) + len(self._guests)
        return open_count < self.limits.max_connections

    def may_enter(self, address: str) -> bool:
        """Tell whether one more connection of a client may."""
        most = self.limits.max_connections_per_address
        return not most or self._addresses[address] < most

    def entered(self, address: str) -> None:
        """Learn that one came."""
        self._addresses[address] += 1

    def left(self, address: str) -> None:
        """Learn that one went."""
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
        self._tidy_soon()

    def shook_hands(self, outcome: str) -> None:
        """Learn how a handshake ended."""
        self.counts[f'handshakes_total{{outcome="{outcome}"}}'] += 1
        self._tidy_soon()

    # What the supervisor asks

    def listen(self, listeners: Mapping[int, str]) -> None:
        """Accept connections at inherited sockets.

        Args:
            listeners: File descriptor -> ``tls``, ``proxied`` or ``redirect``.
        """
        for fd, kind in listeners.items():
            listener = socket.socket(fileno=fd)
            listener.setblocking(False)
            is_tls = kind != "redirect"
            self._acceptors.append(
                Acceptor(
                    self.loop,
                    listener,
                    self._current_context if is_tls else None,
                    is_proxied=kind == "proxied",
                    may_send_proxy=self._may_send_proxy,
                    room=self,
                    handshakes=self._guests,
                    limits=lambda: self.limits,
                    take=self._take if is_tls else self._take_plain,
                )
            )

    def configure(self, configuration: Configure) -> None:
        """Work otherwise from now on, or go on as before.

        The access log is opened anew: its file may have been moved away.

        Raises:
            ConfigurationError: If a certificate or a key cannot be used.
            OSError: If the access log cannot be opened.
            ValueError: If a value cannot be.
        """
        context = self._node_context(configuration)
        log = _log_file(configuration)
        try:
            self._server.read(configuration.certificates)
        except BaseException:
            if log is not None:
                log.close()
            raise
        self.access_log.use(log)
        self._use(configuration)
        self.dialer.context = context
        self.dialer.timeout_s = configuration.limits.connect_timeout_s
        self.chooser.use(configuration.policy, slow_start_s=configuration.slow_start_s)

    def see(self, view: View) -> None:
        """Decide by another view."""
        keys = tuple(bytes.fromhex(key) for key in view.cookie_keys)
        if keys != self._cookie_keys:
            self._cookie_keys = keys
            self._make_affinity()
        self.chooser.see(view.nodes)
        self.epoch += 1
        self._tidy_soon()

    def retire(self, within_s: float, on_empty: Callable[[], None]) -> None:
        """Accept nobody, and tell when the last connection has ended; cut what is left then.

        Args:
            within_s: How long that may take.
            on_empty: Called once.
        """
        self._on_empty = on_empty
        for acceptor in self._acceptors:
            acceptor.close()
        self.is_retiring = True
        for client in tuple(self._clients):
            client.retire()
        self._tidy_soon()
        self.loop.call_later(within_s, self._cut_all)

    # Inside

    def _use(self, configuration: Configure) -> None:
        senders = tuple(ip_network(network) for network in configuration.trusted_senders)
        self.epoch += 1
        self._configuration = configuration
        self._trusted_senders = senders
        self.limits = limits = configuration.limits
        self.queue.max_length = limits.max_queue
        self.queue.timeout_s = limits.queue_timeout_s
        self.retry_after_s = configuration.retry_after_s
        self.https_port = configuration.https_port
        self.hsts = b""
        if configuration.hsts_s:
            self.hsts = b"Strict-Transport-Security: max-age=%d\r\n" % configuration.hsts_s
        self._make_affinity()

    def _make_affinity(self) -> None:
        configuration = self._configuration
        self.affinity = Affinity(
            configuration.cluster,
            self._cookie_keys,
            max_age_s=configuration.cookie_max_age_s,
            wall_s=time,
        )

    def _node_context(self, configuration: Configure) -> NodeContext:
        return NodeContext(configuration.nodes, configuration.cluster)

    def _current_context(self) -> ssl.SSLContext:
        return self._server.context

    def _may_send_proxy(self, address: str) -> bool:
        sender = ip_address(address)
        return any(sender in network for network in self._trusted_senders)

    def _take(self, link: Link, address: str) -> None:
        forwarding = forwarding_fields(address, is_tls=True)
        self.counts["connections_total"] += 1
        self._clients.add(ClientConnection(self, link, address, forwarding))

    def _take_plain(self, link: Link, address: str) -> None:
        self._clients.add(RedirectConnection(self, link, address))

    def _noticing(self, notice: Callable[[str, str], None]) -> Callable[[str, str], None]:
        def count_and_notice(node: str, what: str) -> None:
            self.counts[f'node_outcomes_total{{node="{node}",outcome="{what}"}}'] += 1
            notice(node, what)

        return count_and_notice

    def _node_has_room(self) -> None:
        self._tidy_soon()

    def _tidy_soon(self) -> None:
        """See at the end of this turn who may come or go on now: something was freed."""
        if not self._is_tidying:
            self._is_tidying = True
            self.loop.call_soon(self._tidy)

    def _tidy(self) -> None:
        self._is_tidying = False
        if self.queue:
            self.queue.release()
        for acceptor in self._acceptors:
            acceptor.resume()
        if self._on_empty is not None and not self._clients and not self._guests:
            on_empty, self._on_empty = self._on_empty, None
            on_empty()

    def _cut_all(self) -> None:
        for client in tuple(self._clients):
            client.abort()
        # Whatever was forgotten keeps no worker.
        self._clients.clear()
        self._guests.clear()
        self._tidy_soon()


def _log_file(configuration: Configure) -> LogFile | None:
    return LogFile(configuration.access_log) if configuration.access_log else None
