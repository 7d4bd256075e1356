"""A client that sends bytes at once, and reads until the other end ends the connection."""

import socket
import ssl
from contextlib import suppress
from typing import Final

__all__ = ["talk", "talk_tls"]

_TIMEOUT_S: Final = 30.0
_READ_BYTES: Final = 65_536


def talk(port: int, data: bytes) -> bytes:
    """Return all that is answered on this machine's port, until the other end ends it."""
    answered = b""
    # Whoever refuses need not read the rest.
    with (
        suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as connection,
    ):
        connection.sendall(data)
        while received := connection.recv(_READ_BYTES):
            answered += received
    return answered


def talk_tls(port: int, data: bytes, context: ssl.SSLContext) -> bytes:
    """Do the same over TLS, and end our direction with a close_notify after the bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as connection:

        def turn() -> None:
            connection.sendall(outgoing.read())
            received = connection.recv(_READ_BYTES)
            if received:
                incoming.write(received)
            else:
                incoming.write_eof()

        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                turn()
            else:
                break
        tls.write(data)
        with suppress(ssl.SSLWantReadError):  # theirs comes later
            tls.unwrap()
        answered = b""
        try:
            while True:
                try:
                    received = tls.read(_READ_BYTES)
                except ssl.SSLWantReadError:
                    turn()
                    continue
                if not received:
                    return answered
                answered += received
        except (ssl.SSLZeroReturnError, ConnectionError):
            return answered
