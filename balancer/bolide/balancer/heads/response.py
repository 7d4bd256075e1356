"""The head of a response: validated against its request, and written anew for the client.

How long a body is depends on the request too (RFC 9112, section 6.3); a node that contradicts
itself there is not believed.
"""

import re
from base64 import b64encode
from hashlib import sha1
from typing import Final

import msgspec

from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.fields import HOP_BY_HOP, Field, options_of, read_fields
from bolide.balancer.heads.request import CHUNKED, RequestHead, content_length

__all__ = ["UNTIL_CLOSE", "ResponseHead", "parse_response"]

UNTIL_CLOSE: Final = -2
"""Length of a body that ends with its connection."""

_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*+))?\r\n")
_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_CONTENT_LENGTH: Final = 1
_TRANSFER_ENCODING: Final = 2
_CONNECTION: Final = 3
_UPGRADE: Final = 4
_SET_COOKIE: Final = 5
_ACCEPT: Final = 6
_HSTS: Final = 7
_DROPPED: Final = 8

_MEANINGS: Final[dict[bytes, int]] = dict.fromkeys(HOP_BY_HOP, _DROPPED) | {
    b"content-length": _CONTENT_LENGTH,
    b"transfer-encoding": _TRANSFER_ENCODING,
    b"connection": _CONNECTION,
    b"upgrade": _UPGRADE,
    b"set-cookie": _SET_COOKIE,
    b"sec-websocket-accept": _ACCEPT,
    b"strict-transport-security": _HSTS,
    # Where else the node listens is no matter of clients.
    b"alt-svc": _DROPPED,
}

_CONTENT_LENGTH_LINE: Final = b"Content-Length: %d\r\n"
_CHUNKED_LINE: Final = b"Transfer-Encoding: chunked\r\n"


class ResponseHead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A valid response to a request.

    Attributes:
        status: 100 to 599.
        minor: Of the node's version, HTTP/1.0 or HTTP/1.1.
        length: Bytes of its body; ``CHUNKED``; ``UNTIL_CLOSE``.
        keeps_alive: Whether the node's connection may carry another request.
        keeps_client: Whether the client can tell the end without the end of its connection.
        is_interim: Another head follows.
        is_tunnel: The upgrade that was asked for: the connection is a WebSocket from here on.
        strips_chunks: The body comes in chunks, and the client knows none.
        reason: As the node said it.
        fields: Those for the client, as lines.
        hsts: The node's `Strict-Transport-Security`, as lines.
        framing: Line that says how the body is measured, or nothing.
        closes: Whether the client is told that the connection ends.
        is_told: Whether the client may get it: HTTP/1.0 knows no interim responses.
    """

    status: int
    minor: int
    length: int
    keeps_alive: bool
    keeps_client: bool
    is_interim: bool
    is_tunnel: bool
    strips_chunks: bool
    reason: bytes
    fields: bytes
    hsts: bytes
    framing: bytes
    closes: bool
    is_told: bool

    def serialize(self, extra: bytes) -> bytes:
        """Write the head for the client; nothing if it may not get this one.

        Args:
            extra: Lines of ours, each with its CRLF; not added to an interim response. An HSTS
                line among them takes the place of the node's.
        """
        if not self.is_told:
            return b""
        if self.is_interim:
            return b"HTTP/1.1 %d %b\r\n%b\r\n" % (self.status, self.reason, self.fields)
        if self.is_tunnel:
            closing = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        else:
            closing = b"Connection: close\r\n" if self.closes else b""
        return b"HTTP/1.1 %d %b\r\n%b%b%b%b%b\r\n" % (
            self.status,
            self.reason,
            self.fields,
            b"" if b"Strict-Transport-Security:" in extra else self.hsts,
            self.framing,
            closing,
            extra,
        )


def parse_response(head: bytes, request: RequestHead, *, max_fields: int) -> ResponseHead:
    """Read the head of a response.

    Args:
        head: All of it, with its CRLF CRLF.
        request: What it answers.
        max_fields: How many fields there may be.

    Raises:
        HeadError: 502 for anything else than one clear response to the request.
    """
    line = _LINE.match(head)
    if line is None:
        raise HeadError(502, "status-line")
    minor, code, reason = line.groups()
    status = int(code)
    lengths: list[bytes] = []
    codings: list[bytes] = []
    options: list[bytes] = []
    upgrades: list[bytes] = []
    accepts: list[bytes] = []
    hsts = b""
    kept: list[Field] = []
    for field in read_fields(head, line.end(), max_fields=max_fields, status=502):
        meaning = _MEANINGS.get(field[0].lower())
        if meaning is None:
            kept.append(field)
        elif meaning == _CONTENT_LENGTH:
            lengths.append(field[1])
        elif meaning == _TRANSFER_ENCODING:
            codings.append(field[1])
        elif meaning == _CONNECTION:
            options += options_of(field[1], 502)
        elif meaning == _SET_COOKIE:
            if field[1].partition(b"=")[0].strip(b" \t") != request.cookie_name:
                kept.append(field)
        elif meaning == _HSTS:
            hsts += b"%b: %b\r\n" % field
        elif meaning == _UPGRADE:
            upgrades.append(field[1])
        elif meaning == _ACCEPT:
            accepts.append(field[1])
            kept.append(field)
    if options:
        named = frozenset(options)
        kept = [field for field in kept if field[0].lower() not in named]
    is_interim = is_tunnel = False
    keeps_alive = minor == b"1" and b"close" not in options
    said = _said_length(lengths, codings, minor)
    length, framing = said, b""
    if status < 200:
        is_tunnel = status == 101
        if is_tunnel and not _is_switch(request, said, options, upgrades, accepts):
            raise HeadError(502, "bad-switch")
        if said not in _NO_BODY:
            raise HeadError(502, "body-of-interim")
        is_interim = not is_tunnel
        length = 0
    elif request.method == b"HEAD" or status == 304:
        # A length is that of the body that is not here.
        length = 0
        if said >= 0:
            framing = _CONTENT_LENGTH_LINE % said
        elif said == CHUNKED and request.minor and status != 304:
            framing = _CHUNKED_LINE
    elif status in _EMPTY:
        # What follows against the rules goes down with the connection.
        keeps_alive = keeps_alive and (said == 0 or (status == 204 and said == UNTIL_CLOSE))
        length = 0
        framing = _CONTENT_LENGTH_LINE % 0 if status == 205 else b""
    elif said >= 0:
        framing = _CONTENT_LENGTH_LINE % said
    elif said == UNTIL_CLOSE:
        keeps_alive = False
    elif request.minor:
        framing = _CHUNKED_LINE
    strips_chunks = length == CHUNKED and not request.minor
    keeps_client = length != UNTIL_CLOSE and not strips_chunks
    return ResponseHead(
        status=status,
        minor=1 if minor == b"1" else 0,
        length=length,
        keeps_alive=keeps_alive,
        keeps_client=keeps_client,
        is_interim=is_interim,
        is_tunnel=is_tunnel,
        strips_chunks=strips_chunks,
        reason=reason or b"",
        fields=b"".join([b"%b: %b\r\n" % field for field in kept]),
        hsts=hsts,
        framing=framing,
        closes=not (keeps_client and request.keeps_alive),
        is_told=not is_interim or request.minor == 1,
    )


_EMPTY: Final = frozenset({204, 205})
"""Statuses without a body (RFC 9110, sections 15.3.5 and 15.3.6)."""

_NO_BODY: Final = frozenset({0, UNTIL_CLOSE})


def _said_length(lengths: list[bytes], codings: list[bytes], minor: bytes) -> int:
    """Return what the fields say of the body."""
    if codings:
        if lengths:
            raise HeadError(502, "two-lengths")
        if minor != b"1" or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise HeadError(502, "transfer-encoding")
        return CHUNKED
    return content_length(lengths, 502) if lengths else UNTIL_CLOSE


def _is_switch(
    request: RequestHead,
    said: int,
    options: list[bytes],
    upgrades: list[bytes],
    accepts: list[bytes],
) -> bool:
    """Tell whether a 101 is the one that was asked for (RFC 6455, section 4.1)."""
    if request.websocket_key is None or b"upgrade" not in options or said not in _NO_BODY:
        return False
    digest = sha1(request.websocket_key + _WEBSOCKET_GUID, usedforsecurity=False).digest()
    return accepts == [b64encode(digest)] and [name.lower() for name in upgrades] == [b"websocket"]
