"""What nodes answer that two programs could read in two ways, and what becomes of each.

The texts are those of :mod:`tests.desync.wire`.
"""
# ruff: noqa: E501  # one row, one line

from dataclasses import dataclass
from typing import Final

from tests.desync.wire import on_the_wire

__all__ = ["RESPONSES", "ResponseCase"]


@dataclass(frozen=True, slots=True)
class ResponseCase:
    """What a node answers to one request, after which it ends the connection.

    Attributes:
        name: Unique.
        asked: The request.
        answered: What the node sends.
        becomes: What the client gets; a number is the status of what it gets instead; None: it
            gets a part, and can tell that it is one.
    """

    name: str
    asked: str
    answered: str
    becomes: str | int | None

    @property
    def request(self) -> bytes:
        return on_the_wire(self.asked)

    @property
    def wire(self) -> bytes:
        return on_the_wire(self.answered)

    @property
    def client_gets(self) -> bytes:
        """All that the client gets; nothing if that is refused or cut."""
        return on_the_wire(self.becomes) if isinstance(self.becomes, str) else b""


_Row = tuple[str, str, str, str | int | None]

_GET: Final = "GET / HTTP/1.1\nHost: a\n\n"
_HEAD: Final = "HEAD / HTTP/1.1\nHost: a\n\n"
_OLD: Final = "GET / HTTP/1.0\nHost: a\n\n"
_UPGRADE: Final = (
    "GET / HTTP/1.1\nHost: a\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
    "Connection: Upgrade\nUpgrade: websocket\n\n"
)
_OK: Final = "HTTP/1.1 200 OK\n"
_FIVE: Final = _OK + "Content-Length: 5\n\nhello"
_CHUNKED: Final = _OK + "Transfer-Encoding: chunked\n\n"
_EVIL: Final = "HTTP/1.1 200 OK\nContent-Length: 4\n\nevil"
_SWITCH: Final = (
    "HTTP/1.1 101 Switching Protocols\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n"
    "Connection: Upgrade\nUpgrade: websocket\n"
)

_SWITCHES: Final[list[_Row]] = [
    ("switch", _UPGRADE, _SWITCH + "\n", _SWITCH + "\n"),
    ("switch, and frames", _UPGRADE, _SWITCH + "\n\x81\x01a", _SWITCH + "\n\x81\x01a"),
    (
        "switch to WebSocket",
        _UPGRADE,
        _SWITCH.replace("websocket", "WebSocket") + "\n",
        _SWITCH + "\n",
    ),
    (
        "switch with a length of nothing",
        _UPGRADE,
        _SWITCH + "Content-Length: 0\n\n",
        _SWITCH + "\n",
    ),
    ("switch that nobody asked for", _GET, _SWITCH + "\n", 502),
    (
        "switch to what nobody asked for",
        _GET,
        "HTTP/1.1 101 x\nConnection: Upgrade\nUpgrade: h2c\n\n",
        502,
    ),
    ("switch to something else", _UPGRADE, _SWITCH.replace("websocket", "h2c") + "\n", 502),
    ("switch to two things", _UPGRADE, _SWITCH.replace("websocket", "websocket, h2c") + "\n", 502),
    ("switch to nothing", _UPGRADE, _SWITCH.replace("Upgrade: websocket\n", "") + "\n", 502),
    ("switch with a wrong accept", _UPGRADE, _SWITCH.replace("s3pP", "s3pQ") + "\n", 502),
    (
        "switch with the accept in another case",
        _UPGRADE,
        _SWITCH.replace("s3pP", "S3Pp") + "\n",
        502,
    ),
    ("switch without an accept", _UPGRADE, _SWITCH.replace("-Accept", "-Accepu") + "\n", 502),
    (
        "switch with two accepts",
        _UPGRADE,
        _SWITCH + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n",
        502,
    ),
    (
        "switch without Connection",
        _UPGRADE,
        _SWITCH.replace("Connection: Upgrade\n", "") + "\n",
        502,
    ),
    (
        "switch with Connection: close",
        _UPGRADE,
        _SWITCH.replace("Connection: Upgrade", "Connection: close") + "\n",
        502,
    ),
    ("switch with a length", _UPGRADE, _SWITCH + "Content-Length: 5\n\nhello", 502),
    ("switch with chunks", _UPGRADE, _SWITCH + "Transfer-Encoding: chunked\n\n0\n\n", 502),
    (
        "no switch",
        _UPGRADE,
        "HTTP/1.1 403 No\nContent-Length: 2\n\nno",
        "HTTP/1.1 403 No\nContent-Length: 2\n\nno",
    ),
    ("success instead of a switch", _UPGRADE, _FIVE, _FIVE),
]

_LENGTHS: Final[list[_Row]] = [
    ("length", _GET, _FIVE, _FIVE),
    ("length with zeros", _GET, _OK + "Content-Length: 005\n\nhello", _FIVE),
    ("length longer than the body", _GET, _OK + "Content-Length: 10\n\nhello", None),
    ("length shorter than the body", _GET, _FIVE + "world", _FIVE),
    ("two responses", _GET, _FIVE + _EVIL, _FIVE),
    ("two equal lengths", _GET, _OK + "Content-Length: 5\nContent-Length: 5\n\nhello", 502),
    ("two lengths", _GET, _OK + "Content-Length: 5\nContent-Length: 6\n\nhello", 502),
    ("list of lengths", _GET, _OK + "Content-Length: 5, 5\n\nhello", 502),
    ("length below nothing", _GET, _OK + "Content-Length: -1\n\nhello", 502),
    ("length of letters", _GET, _OK + "Content-Length: five\n\nhello", 502),
    ("length that is empty", _GET, _OK + "Content-Length:\n\nhello", 502),
    ("length of 19 digits", _GET, _OK + f"Content-Length: {'9' * 19}\n\nhello", 502),
    (
        "length beside chunks",
        _GET,
        _OK + "Content-Length: 5\nTransfer-Encoding: chunked\n\n0\n\n",
        502,
    ),
    ("chunks of gzip", _GET, _OK + "Transfer-Encoding: gzip, chunked\n\n0\n\n", 502),
    ("only gzip", _GET, _OK + "Transfer-Encoding: gzip\n\nhello", 502),
    (
        "chunks twice",
        _GET,
        _OK + "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n",
        502,
    ),
    ("chunks in HTTP/1.0", _GET, "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n0\n\n", 502),
    ("no length", _GET, _OK + "\nhello", _OK + "Connection: close\n\nhello"),
    ("no length in HTTP/1.0", _GET, "HTTP/1.0 200 OK\n\nhello", _OK + "Connection: close\n\nhello"),
    ("length in HTTP/1.0", _GET, "HTTP/1.0 200 OK\nContent-Length: 5\n\nhello", _FIVE),
    ("body of 204", _GET, "HTTP/1.1 204 x\nContent-Length: 5\n\nhello", "HTTP/1.1 204 x\n\n"),
    (
        "chunks of 204",
        _GET,
        "HTTP/1.1 204 x\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n",
        "HTTP/1.1 204 x\n\n",
    ),
    ("response behind 204", _GET, "HTTP/1.1 204 x\n\n" + _EVIL, "HTTP/1.1 204 x\n\n"),
    (
        "body of 205",
        _GET,
        "HTTP/1.1 205 x\nContent-Length: 5\n\nhello",
        "HTTP/1.1 205 x\nContent-Length: 0\n\n",
    ),
    (
        "body of 304",
        _GET,
        "HTTP/1.1 304 x\nContent-Length: 5\n\nhello",
        "HTTP/1.1 304 x\nContent-Length: 5\n\n",
    ),
    ("length of HEAD", _HEAD, _OK + "Content-Length: 5\n\n", _OK + "Content-Length: 5\n\n"),
    ("body of HEAD", _HEAD, _FIVE, _OK + "Content-Length: 5\n\n"),
    ("chunks of HEAD", _HEAD, _CHUNKED + "5\nhello\n0\n\n", _CHUNKED),
    (
        "response behind HEAD",
        _HEAD,
        _OK + "Content-Length: 0\n\n" + _EVIL,
        _OK + "Content-Length: 0\n\n",
    ),
    ("interim", _GET, "HTTP/1.1 103 x\nLink: y\n\n" + _FIVE, "HTTP/1.1 103 x\nLink: y\n\n" + _FIVE),
    (
        "interim with a length of nothing",
        _GET,
        "HTTP/1.1 103 x\nContent-Length: 0\n\n" + _FIVE,
        "HTTP/1.1 103 x\n\n" + _FIVE,
    ),
    ("interim with a length", _GET, "HTTP/1.1 103 x\nContent-Length: 5\n\nhello" + _FIVE, 502),
    (
        "interim to HTTP/1.0",
        _OLD,
        "HTTP/1.1 100 x\n\n" + _FIVE,
        _OK + "Content-Length: 5\nConnection: close\n\nhello",
    ),
    ("interim and nothing", _GET, "HTTP/1.1 103 x\n\n", 502),
]

_CHUNKS: Final[list[_Row]] = [
    ("chunks", _GET, _CHUNKED + "05;a\nhello\n0\nX: a\n\n", _CHUNKED + "5\nhello\n0\nX: a\n\n"),
    (
        "chunks to HTTP/1.0",
        _OLD,
        _CHUNKED + "5\nhello\n1\n!\n0\nX: a\n\n",
        _OK + "Connection: close\n\nhello!",
    ),
    ("chunks that are not all", _GET, _CHUNKED + "5\nhello\n", None),
    ("chunk longer than its size", _GET, _CHUNKED + "4\nhello\n0\n\n", None),
    ("chunk without a size", _GET, _CHUNKED + "hello", None),
    ("chunk before a LF", _GET, _CHUNKED + "5␊hello\n0\n\n", None),
    ("trailer that is a cookie", _GET, _CHUNKED + "0\nSet-Cookie: a\n\n", _CHUNKED + "0\n\n"),
    ("response behind chunks", _GET, _CHUNKED + "0\n\n" + _EVIL, _CHUNKED + "0\n\n"),
]

_HEADS: Final[list[_Row]] = [
    (
        "fields between neighbours",
        _GET,
        _OK
        + "Connection: keep-alive, X\nX: a\nKeep-Alive: 5\nUpgrade: h2c\nProxy-Authenticate: x\nY: b\nContent-Length: 0\n\n",
        _OK + "Y: b\nContent-Length: 0\n\n",
    ),
    (
        "a way around",
        _GET,
        _OK + 'Alt-Svc: h3=":443"\nContent-Length: 0\n\n',
        _OK + "Content-Length: 0\n\n",
    ),
    (
        "our cookie",
        _GET,
        _OK + "Set-Cookie: __Host-bolide_lb=x; Path=/\nSet-Cookie: a=b\nContent-Length: 0\n\n",
        _OK + "Set-Cookie: a=b\nContent-Length: 0\n\n",
    ),
    (
        "no reason",
        _GET,
        "HTTP/1.1 200\nContent-Length: 0\n\n",
        "HTTP/1.1 200 \nContent-Length: 0\n\n",
    ),
    ("value on two lines", _GET, _OK + "X: a\n b\nContent-Length: 0\n\n", 502),
    ("name before a space", _GET, _OK + "X : a\nContent-Length: 0\n\n", 502),
    ("value with NUL", _GET, _OK + "X: \x00\nContent-Length: 0\n\n", 502),
    ("value with a CR", _GET, _OK + "X: a␍b\nContent-Length: 0\n\n", 502),
    ("line end of a LF", _GET, _OK + "X: a␊Content-Length: 0\n\n", 502),
    ("101 fields", _GET, _OK + "X: a\n" * 100 + "Content-Length: 0\n\n", 502),
    ("head of 17 kB", _GET, _OK + f"X: {'a' * 17_000}\nContent-Length: 0\n\n", 502),
    ("half a head", _GET, _OK, 502),
    ("nothing", _GET, "", 502),
    ("empty line before", _GET, "\n" + _FIVE, 502),
    ("version 2", _GET, "HTTP/2 200 OK\n\nhello", 502),
    ("version 0.9", _GET, "hello\n\n", 502),
    ("version in small letters", _GET, "http/1.1 200 OK\n\nhello", 502),
    ("status of two digits", _GET, "HTTP/1.1 20 OK\n\nhello", 502),
    ("status of four digits", _GET, "HTTP/1.1 2000 OK\n\nhello", 502),
    ("status 099", _GET, "HTTP/1.1 099 OK\n\nhello", 502),
    ("status 600", _GET, "HTTP/1.1 600 OK\n\nhello", 502),
    ("two spaces before the status", _GET, "HTTP/1.1  200 OK\n\nhello", 502),
    ("reason with NUL", _GET, "HTTP/1.1 200 \x00\n\nhello", 502),
]

RESPONSES: Final = [
    ResponseCase(*row) for rows in (_SWITCHES, _LENGTHS, _CHUNKS, _HEADS) for row in rows
]
