"""OpenSSL's connection on a socket: what Python's ``ssl`` has inside an ``SSLSocket``.

The class around it asks the kernel before each step whether the socket is connected, and keeps much
beside it: of a new connection that is a fifth of the time, of an idle one 2 kB. So the relay takes
what is inside. That has no public name in Python's ``ssl``; what is used of it stands here.
"""

import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, Protocol, TypeAlias, cast, overload

__all__ = ["Engine", "Proven", "client_engine", "server_engine"]

_Bytes: TypeAlias = bytes | bytearray | memoryview


class Proven(Protocol):
    """A connection whose peer showed a certificate: an :class:`Engine`, or an ``SSLSocket``."""

    @overload
    def getpeercert(self, binary_form: Literal[True], /) -> bytes | None: ...
    @overload
    def getpeercert(self, binary_form: Literal[False] = False, /) -> dict[str, object] | None: ...

    @property
    def session(self) -> ssl.SSLSession | None:
        """A copy of its session; None if there is none yet."""
        ...

    @property
    def session_reused(self) -> bool:
        """It began with the session of another one."""
        ...

    @property
    def server_hostname(self) -> str | None:
        """What the server was asked for."""
        ...


class Engine(Proven, Protocol):
    """OpenSSL's connection. It closes nothing: the socket is its owner's.

    All methods raise what those of an ``SSLSocket`` do.
    """

    context: ssl.SSLContext

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        ...

    def read(self, size: int, buffer: bytearray, /) -> int:
        """Read up to so many bytes of one record into a buffer; returns how many, 0 at the end."""
        ...

    def write(self, data: _Bytes, /) -> int:
        """Write what the socket takes; returns how many bytes."""
        ...

    def shutdown(self) -> object:
        """Send close_notify, and look for the peer's."""
        ...


_Wrap: TypeAlias = Callable[..., Engine]


def server_engine(
    context: ssl.SSLContext, connection: socket.socket, owner: object | None
) -> Engine:
    """Return the server's side, hands not shaken yet.

    Args:
        context: Of the server.
        connection: Does not block; stays the caller's, and must live as long as the engine.
        owner: Handed to the context's ``sni_callback``, which may set its ``context``; kept weakly.
            None if there is no such callback.
    """
    wrap = cast("_Wrap", context._wrap_socket)  # type: ignore[attr-defined]
    return wrap(connection, True, None, owner=owner, session=None)


def client_engine(
    context: ssl.SSLContext,
    connection: socket.socket,
    server_name: str | None,
    session: ssl.SSLSession | None,
) -> Engine:
    """Return the client's side, hands not shaken yet.

    Args:
        context: Of the client.
        connection: Does not block, connected or not yet; as for :func:`server_engine`.
        server_name: What the server is asked for, and what its certificate must name if the
            context demands that.
        session: To begin with.

    Raises:
        ValueError: If the context demands a name, and there is none.
    """
    if server_name is None:
        if context.check_hostname:
            raise ValueError("a server's name is needed to check it")
    else:
        server_name = _in_ascii(server_name)
    wrap = cast("_Wrap", context._wrap_socket)  # type: ignore[attr-defined]
    return wrap(connection, False, server_name, owner=None, session=session)


@lru_cache(maxsize=1024)
def _in_ascii(name: str) -> str:
    return name.encode("idna").decode("ascii")
