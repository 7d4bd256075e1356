"""The head of a request: validated in whole, and written anew for a node.

Nothing of what came is passed on as it came. The request line, `Host` and the framing are built
from values that were understood; a field passes if it is one for nodes. What two parsers could
read in two ways is refused, so a node cannot see another request than the balancer did
(RFC 9112, section 11.2).
"""

import re
from typing import Final

import msgspec

from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.fields import (
    FORWARDING,
    FORWARDING_PREFIXES,
    HOP_BY_HOP,
    TOKEN,
    Field,
    options_of,
    read_fields,
)
from bolide.balancer.heads.host import is_host, without_default_port

__all__ = ["CHUNKED", "KnownFields", "RequestHead", "content_length", "parse_request"]

CHUNKED: Final = -1
"""Length of a body that comes in chunks."""
_KNOWN_BYTES: Final = 2048
"""Of fields that are remembered."""

_LINE: Final = re.compile(rb"(" + TOKEN + rb"{1,32}+) ([\x21\x22\x24-\x7e]++) HTTP/1\.([01])\r\n")
_OTHER_VERSION: Final = re.compile(TOKEN + rb"++ [\x21-\x7e]++ HTTP/(?!1\.[01])[0-9]\.[0-9]\r\n")
_ABSOLUTE: Final = re.compile(rb"(https?)://([^/?]*+)(.*+)", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_KEY: Final = re.compile(rb"[0-9A-Za-z+/]{21}[AQgw]==")

_UNDERSCORE: Final = ord("_")
_KEEP_ALIVE: Final = [b"keep-alive"]
_NOT_PASSED_ON: Final = frozenset({b"CONNECT", b"TRACE"})
"""A tunnel to anywhere; an echo of what only the node should see."""

_HOST: Final = 1
_CONTENT_LENGTH: Final = 2
_TRANSFER_ENCODING: Final = 3
_CONNECTION: Final = 4
_UPGRADE: Final = 5
_COOKIE: Final = 6
_EXPECT: Final = 7
_KEY_FIELD: Final = 8
_VERSION_FIELD: Final = 9
_DROPPED: Final = 10

_MEANINGS: Final[dict[bytes, int]] = dict.fromkeys(HOP_BY_HOP | FORWARDING, _DROPPED) | {
    b"host": _HOST,
    b"content-length": _CONTENT_LENGTH,
    b"transfer-encoding": _TRANSFER_ENCODING,
    b"connection": _CONNECTION,
    b"upgrade": _UPGRADE,
    b"cookie": _COOKIE,
    b"expect": _EXPECT,
    b"sec-websocket-key": _KEY_FIELD,
    b"sec-websocket-version": _VERSION_FIELD,
}

_END_TO_END: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"origin",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
    }
)
"""What `Connection` may not name: it would take away what a node decides by."""


class RequestHead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A valid request.

    Attributes:
        method: Token of at most 32 bytes.
        target: In origin form, or ``*``; printable ASCII without ``#``.
        path: The target without its query.
        host: Host name or address, with the port if it was given.
        minor: Of the version, HTTP/1.0 or HTTP/1.1.
        length: Bytes of its body; ``CHUNKED``.
        keeps_alive: Whether the client's connection may carry another request.
        websocket_key: Of a WebSocket upgrade; None if it is none.
        cookie: Value of the cookie that is ours; None if there is none, or more than one.
        cookie_name: The name of that cookie.
        fields: Those for the node, as lines.
        framing: Line that says how the body is measured, or nothing.
    """

    method: bytes
    target: bytes
    path: bytes
    host: bytes
    minor: int
    length: int
    keeps_alive: bool
    websocket_key: bytes | None
    cookie: bytes | None
    cookie_name: bytes
    fields: bytes
    framing: bytes

    def serialize(self, forwarding: bytes) -> bytes:
        """Write the head for a node: always HTTP/1.1, on a connection that is to stay open.

        Args:
            forwarding: Lines of ours, each with its CRLF.
        """
        return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b%b%b\r\n" % (
            self.method,
            self.target,
            self.host,
            self.fields,
            self.framing,
            b"" if self.websocket_key is None else b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
            forwarding,
        )


class _Fields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a head by their meaning, whatever the request line says.

    Attributes:
        hosts, lengths, codings, upgrades, cookies, expectations, keys, versions: Values.
        options: Of `Connection`.
        kept: For the node.
        lines: The same as lines.
    """

    hosts: list[bytes]
    lengths: list[bytes]
    codings: list[bytes]
    options: list[bytes]
    upgrades: list[bytes]
    cookies: list[bytes]
    expectations: list[bytes]
    keys: list[bytes]
    versions: list[bytes]
    kept: list[Field]
    lines: bytes


class KnownFields:
    """The fields of the last head of a connection: the next one has the same nearly always."""

    __slots__ = ("_block", "_fields", "_max_fields")

    def __init__(self) -> None:
        """Begin without any."""
        self.forget()

    def forget(self) -> None:
        """Let go of them."""
        self._block = b""
        self._max_fields = 0
        self._fields: _Fields | None = None

    def read(self, head: bytes, start: int, *, max_fields: int, cookie_name: bytes) -> _Fields:
        """Read fields as :func:`parse_request` does.

        Args:
            head: All of it.
            start: Where the first field begins.
            max_fields: How many there may be.
            cookie_name: The same for all heads of a connection.

        Raises:
            HeadError: For anything else than fields.
        """
        block = head[start:]
        fields = self._fields
        if fields is None or block != self._block or max_fields != self._max_fields:
            self.forget()
            fields = _read(head, start, max_fields, cookie_name)
            if len(block) <= _KNOWN_BYTES:
                self._block = block
                self._max_fields = max_fields
                self._fields = fields
        return fields


def parse_request(
    head: bytes, *, max_fields: int, cookie_name: bytes, known: KnownFields | None = None
) -> RequestHead:
    """Read the head of a request.

    Args:
        head: All of it, as :func:`~bolide.balancer.heads.reading.cut` found it; one empty line in
            front is skipped.
        max_fields: How many fields there may be.
        cookie_name: The cookie that is ours; no node sees it.
        known: What is remembered of the head before, and then of this one.

    Raises:
        HeadError: For anything else than one clear request.
    """
    line = _LINE.match(head, 2 if head.startswith(b"\r\n") else 0)
    if line is None:
        raise _not_a_request(head)
    method, target, minor = line.groups()
    is_modern = minor == b"1"
    if known is None:
        fields = _read(head, line.end(), max_fields, cookie_name)
    else:
        fields = known.read(head, line.end(), max_fields=max_fields, cookie_name=cookie_name)
    kept, options = fields.kept, fields.options
    target, host = _resolve(method, target, fields.hosts, is_modern=is_modern)
    length, framing = _measure(fields.lengths, fields.codings, is_modern=is_modern)
    if fields.expectations:
        kept = _expecting(kept, fields.expectations, has_body=is_modern and length != 0)
    websocket_key = None
    keeps_alive = is_modern
    if options and options != _KEEP_ALIVE:
        keeps_alive = is_modern and b"close" not in options
        if not _END_TO_END.isdisjoint(options):
            raise HeadError(400, "connection")
        named = frozenset(options)
        kept = [field for field in kept if field[0].lower() not in named]
        if is_modern and b"upgrade" in options and _is_websocket(fields.upgrades):
            websocket_key = _websocket_key(method, length, fields.keys, fields.versions)
            framing = b""
    return RequestHead(
        method=method,
        target=target,
        path=target.partition(b"?")[0],
        host=host,
        minor=1 if is_modern else 0,
        length=length,
        keeps_alive=keeps_alive,
        websocket_key=websocket_key,
        cookie=fields.cookies[0] if len(fields.cookies) == 1 else None,
        cookie_name=cookie_name,
        fields=fields.lines if kept is fields.kept else _written(kept),
        framing=framing,
    )


def _read(head: bytes, start: int, max_fields: int, cookie_name: bytes) -> _Fields:
    """Read the fields of a head, and sort them by their meaning."""
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    options: list[bytes] = []
    upgrades: list[bytes] = []
    cookies: list[bytes] = []
    expectations: list[bytes] = []
    keys: list[bytes] = []
    versions: list[bytes] = []
    kept: list[Field] = []
    for field in read_fields(head, start, max_fields=max_fields, status=400):
        name = field[0].lower()
        meaning = _MEANINGS.get(name)
        if meaning is None:
            # CGI and WSGI make the same of "_" and "-": `X_Real_IP` would be believed.
            if _UNDERSCORE in name:
                name = name.replace(b"_", b"-")
                if name in _MEANINGS:
                    continue
            if not name.startswith(FORWARDING_PREFIXES):
                kept.append(field)
        elif meaning == _COOKIE:
            rest = _take_cookies(field[1], cookie_name, cookies)
            if rest:
                kept.append((field[0], rest))
        elif meaning == _CONNECTION:
            options += options_of(field[1], 400)
        elif meaning == _HOST:
            hosts.append(field[1])
        elif meaning == _CONTENT_LENGTH:
            lengths.append(field[1])
        elif meaning == _TRANSFER_ENCODING:
            codings.append(field[1])
        elif meaning == _UPGRADE:
            upgrades.append(field[1])
        elif meaning == _EXPECT:
            expectations.append(field[1])
            kept.append(field)
        elif meaning == _KEY_FIELD:
            keys.append(field[1])
            kept.append(field)
        elif meaning == _VERSION_FIELD:
            versions.append(field[1])
            kept.append(field)
    return _Fields(
        hosts=hosts,
        lengths=lengths,
        codings=codings,
        options=options,
        upgrades=upgrades,
        cookies=cookies,
        expectations=expectations,
        keys=keys,
        versions=versions,
        kept=kept,
        lines=_written(kept),
    )


def _written(fields: list[Field]) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def content_length(lengths: list[bytes], status: int) -> int:
    """Return the one length that is said.

    Args:
        lengths: Values of the fields, at least one.
        status: Of what is raised.

    Raises:
        HeadError: If there are several, equal or not, or it is no number below 10^18.
    """
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise HeadError(status, "content-length")
    return int(lengths[0])


def _not_a_request(head: bytes) -> HeadError:
    if _OTHER_VERSION.match(head, 2 if head.startswith(b"\r\n") else 0):
        return HeadError(505, "version")
    has_bare = head.count(b"\n") != head.count(b"\r\n") or head.count(b"\r") != head.count(b"\n")
    return HeadError(400, "bare-cr-lf" if has_bare else "request-line")


def _resolve(
    method: bytes, target: bytes, hosts: list[bytes], *, is_modern: bool
) -> tuple[bytes, bytes]:
    """Return the target in origin form, and the host."""
    if method in _NOT_PASSED_ON:
        raise HeadError(501, "method")
    if len(hosts) > 1 or (hosts and not is_host(hosts[0])):
        raise HeadError(400, "host")
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is not None:
            scheme, authority, rest = absolute.groups()
            if not is_host(authority):
                raise HeadError(400, "target")
            scheme = scheme.lower()
            wanted = without_default_port(authority, scheme)
            if hosts and without_default_port(hosts[0], scheme) != wanted:
                raise HeadError(400, "two-hosts")
            if not is_modern and not hosts:
                hosts = [authority]
            if not rest.startswith(b"/"):
                # Nothing after the authority means the server itself (RFC 9112, section 3.2.4).
                target = b"*" if method == b"OPTIONS" and not rest else b"/" + rest
            else:
                target = rest
        elif target != b"*" or method != b"OPTIONS":
            raise HeadError(400, "target")
    if not hosts:
        # Not even in HTTP/1.0: the node gets HTTP/1.1, and decides by this name.
        raise HeadError(400, "host")
    return target, hosts[0]


def _measure(lengths: list[bytes], codings: list[bytes], *, is_modern: bool) -> tuple[int, bytes]:
    """Return the length of the body, and the line that says it."""
    if codings:
        if lengths:
            raise HeadError(400, "two-lengths")
        if not is_modern or len(codings) > 1:
            raise HeadError(400, "transfer-encoding")
        if codings[0].lower() != b"chunked":
            raise HeadError(501, "transfer-encoding")
        return CHUNKED, b"Transfer-Encoding: chunked\r\n"
    if not lengths:
        return 0, b""
    length = content_length(lengths, 400)
    return length, b"Content-Length: %d\r\n" % length


def _take_cookies(value: bytes, name: bytes, taken: list[bytes]) -> bytes:
    """Return the value of `Cookie` without the cookies of that name, whose values are added."""
    if name not in value:
        return value
    rest: list[bytes] = []
    for pair in value.split(b";"):
        key, _, content = pair.partition(b"=")
        if key.strip(b" \t") == name:
            taken.append(content.strip(b" \t"))
        else:
            rest.append(pair.strip(b" \t"))
    return b"; ".join(rest)


def _expecting(kept: list[Field], expectations: list[bytes], *, has_body: bool) -> list[Field]:
    """Return the fields with `Expect` only if there is something to expect."""
    if len(expectations) > 1 or expectations[0].lower() != b"100-continue":
        raise HeadError(417, "expect")
    return kept if has_body else [field for field in kept if field[0].lower() != b"expect"]


def _is_websocket(upgrades: list[bytes]) -> bool:
    """Tell whether exactly this is asked for; anything else (h2c) is as if nothing was."""
    return len(upgrades) == 1 and upgrades[0].lower() == b"websocket"


def _websocket_key(method: bytes, length: int, keys: list[bytes], versions: list[bytes]) -> bytes:
    """Return the key of a valid upgrade (RFC 6455, section 4.1)."""
    if method != b"GET" or length != 0:
        raise HeadError(400, "upgrade")
    if versions != [b"13"]:
        raise HeadError(426, "websocket-version")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise HeadError(400, "websocket-key")
    return keys[0]
