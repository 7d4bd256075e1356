"""TLS handshakes over two sockets of one thread, which nobody has to wait for."""

import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["connected", "hand_over", "shake_hands"]

_TURNS = 20


@contextmanager
def connected() -> Generator[tuple[socket.socket, socket.socket]]:
    """Give two connected sockets that do not block; whoever wraps one closes it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    try:
        yield ours, theirs
    finally:
        ours.close()
        theirs.close()


def shake_hands(client: ssl.SSLSocket, server: ssl.SSLSocket) -> None:
    """Bring a handshake to its end on both sides.

    Raises:
        ssl.SSLError: Of the side that refuses first.
    """
    done = {client: False, server: False}
    for _ in range(_TURNS):
        for side in done:
            if not done[side]:
                done[side] = _is_over(side.do_handshake)
        if all(done.values()):
            return
    raise AssertionError("no handshake came about")


def hand_over(sender: ssl.SSLSocket, receiver: ssl.SSLSocket) -> bytes:
    """Let one side say something; with TLS 1.3 the client has a session only then."""
    sender.sendall(b"data")
    return receiver.recv(100)


def _is_over(step: Callable[[], None]) -> bool:
    try:
        step()
    except ssl.SSLWantReadError:
        return False
    return True
