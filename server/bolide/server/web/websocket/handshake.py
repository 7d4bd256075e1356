"""Check a client's opening handshake and word the server's answers (RFC 6455, section 4).

The head was parsed once by the HTTP server, which wrote it down again for us. It is parsed
strictly all the same: this is the last place before a connection stops being HTTP.
"""

import base64
import binascii
import hashlib
import http
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from bolide.core.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["BadHandshake", "Handshake", "Headers", "accepting", "parse_handshake", "refusing"]

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Name -> value in their order, as ASGI has them."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES: Final = 16
_VERSION: Final = b"13"
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_TARGET: Final = re.compile(rb"/[!-~]*").fullmatch
# Tab, space, visible ASCII and what RFC 9110 calls obs-text: nothing that could end a line.
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*").fullmatch
# Ours to send; an application that sets one of them would break the handshake.
_RESERVED: Final = frozenset({
    b"connection", b"upgrade", b"sec-websocket-accept", b"sec-websocket-extensions",
})  # fmt: skip


class BadHandshake(RemoteProtocolError):
    """A request that cannot become a WebSocket.

    Attributes:
        status: Of the HTTP answer.
        headers: That the answer must carry.
    """

    def __init__(self, text: str, status: int = 400, headers: Headers = ()) -> None:
        """Keep one line for the peer, without any of its data."""
        super().__init__(text)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client asked for.

    Attributes:
        target: Path and query, as received.
        headers: Names in small letters.
        key: The value that the answer proves to have read.
        subprotocols: Offered, in the client's order.
    """

    target: bytes
    headers: list[tuple[bytes, bytes]]
    key: bytes
    subprotocols: list[str]


def parse_handshake(head: bytes) -> Handshake:
    """Read a request head.

    Args:
        head: Request line and header lines, without the empty line that ends them.

    Raises:
        BadHandshake: If it is not a WebSocket handshake of version 13.
    """
    request, *lines = head.split(b"\r\n")
    method, _, rest = request.partition(b" ")
    target, _, version = rest.partition(b" ")
    if method != b"GET" or version != b"HTTP/1.1":
        raise BadHandshake("A WebSocket begins with a GET of HTTP/1.1")
    if not _TARGET(target):
        raise BadHandshake("The request target is no path")
    headers = [_parse_line(line) for line in lines]
    if b"websocket" not in _tokens(headers, b"upgrade"):
        raise BadHandshake("The Upgrade header does not say websocket")
    if b"upgrade" not in _tokens(headers, b"connection"):
        raise BadHandshake("The Connection header does not say Upgrade")
    if any(name == b"transfer-encoding" for name, _ in headers) or any(
        name == b"content-length" and value.strip(b"0") for name, value in headers
    ):
        raise BadHandshake("A handshake has no body")
    _only(headers, b"host")
    if _only(headers, b"sec-websocket-version") != _VERSION:
        raise BadHandshake(
            "The version of WebSocket is not 13", 426, [(b"Sec-WebSocket-Version", _VERSION)]
        )
    subprotocols = _tokens(headers, b"sec-websocket-protocol", lower=False)
    if not all(map(_TOKEN, subprotocols)) or len(set(subprotocols)) < len(subprotocols):
        raise BadHandshake("The Sec-WebSocket-Protocol header is no list of names")
    return Handshake(
        target=target,
        headers=headers,
        key=_checked_key(_only(headers, b"sec-websocket-key")),
        subprotocols=[name.decode() for name in subprotocols],
    )


def accepting(
    key: bytes, *, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Return the answer 101.

    Args:
        key: Of the handshake.
        subprotocol: That was chosen, or None.
        headers: Further ones.

    Raises:
        LocalProtocolError: If a header or the subprotocol may not be sent.
    """
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept,
    ]
    if subprotocol is not None:
        headers = [*headers, (b"sec-websocket-protocol", subprotocol.encode("latin-1", "replace"))]
    for name, value in headers:
        if name.lower() in _RESERVED:
            raise LocalProtocolError("A header of the handshake itself is not the application's")
        lines.append(_line(name, value))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def refusing(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return an HTTP answer after which the connection is closed.

    Args:
        status: 200 to 599.
        headers: The application's; length and connection are set here.
        body: All of it.

    Raises:
        LocalProtocolError: If the status or a header may not be sent.
    """
    if not 200 <= status <= 599:
        raise LocalProtocolError(f"{status} is no HTTP status")
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [b"HTTP/1.1 %d %s" % (status, phrase.encode())]
    lines += [
        _line(name, value)
        for name, value in headers
        if name.lower() not in (b"content-length", b"connection", b"transfer-encoding")
    ]
    lines += [b"content-length: %d" % len(body), b"connection: close"]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _parse_line(line: bytes) -> tuple[bytes, bytes]:
    name, separator, value = line.partition(b":")
    if not separator or not _TOKEN(name) or not _VALUE(value):
        raise BadHandshake("A header line is malformed")
    return name.lower(), value.strip(b" \t")


def _line(name: bytes, value: bytes) -> bytes:
    if not _TOKEN(name) or not _VALUE(value):
        raise LocalProtocolError("A header may hold neither line ends nor control characters")
    return name + b": " + value


def _tokens(headers: Headers, wanted: bytes, *, lower: bool = True) -> list[bytes]:
    """Return the comma-separated values of all headers of a name."""
    values = b",".join([value for name, value in headers if name == wanted])
    tokens = [token.strip(b" \t") for token in (values.lower() if lower else values).split(b",")]
    return [token for token in tokens if token]


def _only(headers: Headers, wanted: bytes) -> bytes:
    """Return the value of a header that must be there once."""
    values = [value for name, value in headers if name == wanted]
    if len(values) != 1:
        raise BadHandshake(f"The header {wanted.decode().title()} is not there exactly once")
    return values[0]


def _checked_key(key: bytes) -> bytes:
    try:
        decoded = base64.b64decode(key, validate=True)
    except binascii.Error:
        decoded = b""
    if len(decoded) != _KEY_BYTES:
        raise BadHandshake("The Sec-WebSocket-Key is not 16 bytes in Base64")
    return key
