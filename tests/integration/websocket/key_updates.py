"""A peer that sends nothing but TLS 1.3's key updates, in a process of its own.

Python cannot ask for a key update, so this speaks to OpenSSL itself. Usage: ``PORT COUNT``; says
``sending`` when it begins to send, and ``cut`` or ``sent`` at the end. Status 77: no such OpenSSL.
"""

import ctypes
import socket
import sys
from typing import Final

__all__ = ["NO_OPENSSL"]

NO_OPENSSL: Final = 77
_NOT_REQUESTED: Final = 0
_CHUNK_BYTES: Final = 65_536
_POINTERS: Final = ("TLS_client_method", "SSL_CTX_new", "SSL_new", "BIO_s_mem", "BIO_new")


def _open_library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libssl.so.3")
    except OSError:
        sys.exit(NO_OPENSSL)
    for name in _POINTERS:
        getattr(library, name).restype = ctypes.c_void_p
    return library


class Peer:
    """A TLS client that keeps what it would send."""

    def __init__(self, port: int) -> None:
        self._openssl = openssl = _open_library()
        new = ctypes.c_void_p
        context = new(openssl.SSL_CTX_new(new(openssl.TLS_client_method())))
        self._tls = new(openssl.SSL_new(context))
        self._in, self._out = (new(openssl.BIO_new(new(openssl.BIO_s_mem()))) for _ in "io")
        openssl.SSL_set_bio(self._tls, self._in, self._out)
        openssl.SSL_set_connect_state(self._tls)
        self._plain = socket.create_connection(("127.0.0.1", port))

    def shake_hands(self) -> None:
        while self._openssl.SSL_do_handshake(self._tls) != 1:
            self._plain.sendall(self.take())
            data = self._plain.recv(_CHUNK_BYTES)
            assert data
            self._openssl.BIO_write(self._in, data, len(data))
        self._plain.sendall(self.take())

    def update_keys(self, count: int) -> None:
        for _ in range(count):
            assert self._openssl.SSL_key_update(self._tls, _NOT_REQUESTED) == 1
            assert self._openssl.SSL_do_handshake(self._tls) == 1

    def take(self) -> bytes:
        """Return what was not sent yet."""
        buffer = ctypes.create_string_buffer(_CHUNK_BYTES)
        taken = bytearray()
        while (size := self._openssl.BIO_read(self._out, buffer, _CHUNK_BYTES)) > 0:
            taken += buffer.raw[:size]
        return bytes(taken)

    def send(self, data: bytes) -> str:
        print("sending", flush=True)
        try:
            self._plain.sendall(data)
            self._plain.settimeout(60)
            while self._plain.recv(_CHUNK_BYTES):  # session tickets, then the end
                pass
        except ConnectionError:
            return "cut"
        return "ended"


if __name__ == "__main__":
    peer = Peer(int(sys.argv[1]))
    peer.shake_hands()
    peer.update_keys(int(sys.argv[2]))
    print(peer.send(peer.take()), flush=True)
