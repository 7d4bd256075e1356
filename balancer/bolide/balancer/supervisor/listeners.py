"""The sockets that the supervisor opens and its workers accept at."""

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Final

from bolide.balancer.members.address import Address
from bolide.balancer.settings.settings import BalancerSettings
from bolide.balancer.worker.messages import ListenerKind
from bolide.core.errors import ConfigurationError

__all__ = ["BACKLOG", "Listeners"]

BACKLOG: Final = 4096
"""Connections that wait to be accepted at one address; the system may allow fewer."""


class Listeners:
    """Listening sockets, one for each address; open until the end, whatever workers do.

    A socket is not opened again by each worker (``SO_REUSEPORT``): who waits at one that is
    closed would be reset.

    Args:
        settings: Where to listen.

    Attributes:
        kinds: Number of a socket -> kind.

    Raises:
        ConfigurationError: If an address cannot be had; none is open then.
    """

    def __init__(self, settings: BalancerSettings) -> None:
        """Open all."""
        self.kinds: dict[int, ListenerKind] = {}
        self._sockets: list[socket.socket] = []
        with ExitStack() as stack:
            for name, kind, address in _wanted(settings):
                listener = stack.enter_context(_open(name, address))
                self._sockets.append(listener)
                self.kinds[listener.fileno()] = kind
            stack.pop_all()

    @property
    def addresses(self) -> Sequence[Address]:
        """Where they listen, in the order of the settings."""
        return [Address(*listener.getsockname()[:2]) for listener in self._sockets]

    def close(self) -> None:
        """Close all."""
        for listener in self._sockets:
            listener.close()


def _wanted(settings: BalancerSettings) -> Iterator[tuple[str, ListenerKind, Address]]:
    for address in settings.listen:
        yield "listen", "tls", address
    for address in settings.proxied_listen:
        yield "proxied_listen", "proxied", address
    for address in settings.redirect:
        yield "redirect", "redirect", address


def _open(name: str, address: Address) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        expected = "an address or a name of this machine"
        raise ConfigurationError(name, str(address), expected) from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigurationError(name, str(address), _remedy(error)) from None
    return listener


def _remedy(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "free: another process listens there; stop it or take another port"
        case errno.EACCES:
            return (
                "one that this user may open: a port below 1024 needs CAP_NET_BIND_SERVICE"
                " (AmbientCapabilities= of a systemd unit)"
            )
        case _:
            return f"an address of this machine ({error.strerror})"
