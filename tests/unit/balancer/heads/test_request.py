"""Heads of requests: what a node sees of them."""

import pytest

from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.forwarding import forwarding_fields
from bolide.balancer.heads.request import CHUNKED, RequestHead, parse_request

COOKIE = b"__Host-bolide_lb"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    b"GET /websocket HTTP/1.1",
    b"Host: a",
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: WebSocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: " + KEY,
)


def parse(*lines: bytes) -> RequestHead:
    head = b"".join(line + b"\r\n" for line in (*lines, b""))
    return parse_request(head, max_fields=100, cookie_name=COOKIE)


def for_node(request: RequestHead, forwarding: bytes = b"") -> list[bytes]:
    return request.serialize(forwarding).split(b"\r\n")[:-2]


def test_a_request_is_read_and_written_anew() -> None:
    request = parse(b"GET /a?b HTTP/1.1", b"Accept:*/*", b"host:a:80", b"Connection: keep-alive")
    assert request.method == b"GET"
    assert request.target == b"/a?b"
    assert request.path == b"/a"
    assert request.host == b"a:80"
    assert request.minor == 1
    assert request.length == 0
    assert request.keeps_alive
    assert request.websocket_key is None
    assert request.cookie is None
    assert for_node(request) == [b"GET /a?b HTTP/1.1", b"Host: a:80", b"Accept: */*"]


def test_the_node_is_told_once_who_the_client_is() -> None:
    request = parse(
        b"GET / HTTP/1.1",
        b"Host: a",
        b"Forwarded: for=10.0.0.1",
        b"X-Forwarded-For: 10.0.0.1",
        b"X-FORWARDED-Whatever: 1",
        b"X_Forwarded_For: 10.0.0.1",
        b"X_Real_IP: 10.0.0.1",
        b"Client-Cert: :AA==:",
        b"SSL-Client-Verify: SUCCESS",
        b"Proxy: http://evil",
        b"Via: 1.1 b",
        b"x_y: z",
    )
    assert for_node(request, forwarding_fields("192.0.2.1", is_tls=True)) == [
        b"GET / HTTP/1.1",
        b"Host: a",
        b"Via: 1.1 b",
        b"x_y: z",
        b"Forwarded: for=192.0.2.1;proto=https",
        b"X-Forwarded-For: 192.0.2.1",
        b"X-Forwarded-Proto: https",
    ]


def test_what_is_between_neighbours_stays_there() -> None:
    request = parse(
        b"GET / HTTP/1.1",
        b"Host: a",
        b"Connection: close, X-Mine",
        b"Connection: x-other",
        b"X-Mine: 1",
        b"X-Other: 2",
        b"Keep-Alive: 5",
        b"Proxy-Connection: x",
        b"Proxy-Authorization: x",
        b"TE: trailers",
        b"Upgrade: h2c",
        b"HTTP2-Settings: x",
        b"X-Kept: 3",
    )
    assert not request.keeps_alive
    assert for_node(request) == [b"GET / HTTP/1.1", b"Host: a", b"X-Kept: 3"]


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"Cookie", b"Origin"])
def test_connection_takes_nothing_away_that_a_node_decides_by(name: bytes) -> None:
    with pytest.raises(HeadError, match="400 connection"):
        parse(b"GET / HTTP/1.1", b"Host: a", b"Connection: close, " + name)


def test_bodies_are_framed_in_one_way() -> None:
    request = parse(b"POST / HTTP/1.1", b"Host: a", b"content-length: 007")
    assert request.length == 7
    assert for_node(request)[2:] == [b"Content-Length: 7"]
    request = parse(b"POST / HTTP/1.1", b"Host: a", b"transfer-encoding: CHUNKED")
    assert request.length == CHUNKED
    assert for_node(request)[2:] == [b"Transfer-Encoding: chunked"]


def test_our_cookie_is_taken_out() -> None:
    request = parse(
        b"GET / HTTP/1.1", b"Host: a", b"Cookie: a=1;__Host-bolide_lb=x=y ; b=__Host-bolide_lb"
    )
    assert request.cookie == b"x=y"
    assert for_node(request)[2:] == [b"Cookie: a=1; b=__Host-bolide_lb"]


def test_a_field_with_nothing_but_our_cookie_goes() -> None:
    request = parse(b"GET / HTTP/1.1", b"Host: a", b"Cookie: __Host-bolide_lb=x")
    assert request.cookie == b"x"
    assert for_node(request)[2:] == []


def test_of_several_cookies_of_ours_none_is_believed() -> None:
    request = parse(
        b"GET / HTTP/1.1",
        b"Host: a",
        b"Cookie: __Host-bolide_lb=x; __Host-bolide_lb =y",
        b"Cookie: c=d; __Host-bolide_lb=z",
    )
    assert request.cookie is None
    assert for_node(request)[2:] == [b"Cookie: c=d"]


def test_http_1_0_is_answered_once_and_passed_on_as_1_1() -> None:
    request = parse(b"GET / HTTP/1.0", b"Host: a", b"Connection: keep-alive")
    assert request.minor == 0
    assert not request.keeps_alive
    assert for_node(request) == [b"GET / HTTP/1.1", b"Host: a"]


def test_an_expectation_needs_a_body() -> None:
    lines = (b"Host: a", b"Expect: 100-Continue")
    assert for_node(parse(b"POST / HTTP/1.1", *lines, b"Content-Length: 1"))[2:] == [
        b"Expect: 100-Continue",
        b"Content-Length: 1",
    ]
    assert for_node(parse(b"POST / HTTP/1.1", *lines))[2:] == []
    assert for_node(parse(b"POST / HTTP/1.0", *lines, b"Content-Length: 1"))[2:] == [
        b"Content-Length: 1"
    ]
    with pytest.raises(HeadError, match="417 expect"):
        parse(b"POST / HTTP/1.1", b"Host: a", b"Expect: x")


def test_a_websocket_is_asked_for_again() -> None:
    request = parse(*UPGRADE)
    assert request.websocket_key == KEY
    assert for_node(request) == [
        b"GET /websocket HTTP/1.1",
        b"Host: a",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + KEY,
        b"Connection: Upgrade",
        b"Upgrade: websocket",
    ]


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        (b"GET", b"POST", "400 upgrade"),
        (b"Sec-WebSocket-Version: 13", b"Content-Length: 5", "400 upgrade"),
        (b"Sec-WebSocket-Version: 13", b"Transfer-Encoding: chunked", "400 upgrade"),
        (b"Version: 13", b"Version: 8", "426 websocket-version"),
        (b"Version: 13", b"Versio: 13", "426 websocket-version"),
        (KEY, b"dGhlIHNhbXBsZSBub25jZR==", "400 websocket-key"),
        (KEY, b"x", "400 websocket-key"),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + KEY, "426 websocket-version"),
    ],
)
def test_a_websocket_that_is_none_is_refused(old: bytes, new: bytes, refused: str) -> None:
    with pytest.raises(HeadError, match=refused):
        parse(*(line.replace(old, new) for line in UPGRADE))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Upgrade: WebSocket", b"Upgrade: h2c"),
        (b"Upgrade: WebSocket", b"Upgrade: websocket, h2c"),
        (b"keep-alive, Upgrade", b"keep-alive"),
        (b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_any_other_upgrade_is_as_if_nothing_was_asked(old: bytes, new: bytes) -> None:
    request = parse(*(line.replace(old, new) for line in UPGRADE))
    assert request.websocket_key is None
    assert b"Upgrade" not in request.serialize(b"")


@pytest.mark.parametrize(
    ("target", "resolved"),
    [
        (b"http://a/b?c", b"/b?c"),
        (b"HTTPS://A:443/b", b"/b"),
        (b"http://a", b"/"),
        (b"http://a?c", b"/?c"),
    ],
)
def test_an_absolute_target_becomes_a_path(target: bytes, resolved: bytes) -> None:
    assert parse(b"GET " + target + b" HTTP/1.1", b"Host: a").target == resolved
    assert parse(b"GET " + target + b" HTTP/1.0").target == resolved


def test_options_may_ask_for_the_server_itself() -> None:
    assert parse(b"OPTIONS * HTTP/1.1", b"Host: a").target == b"*"
    assert parse(b"OPTIONS http://a HTTP/1.1", b"Host: a").target == b"*"


def test_one_empty_line_in_front_is_skipped() -> None:
    assert parse(b"", b"GET / HTTP/1.1", b"Host: a").target == b"/"


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([b"GET / HTTP/1.1"], "400 host"),
        ([b"GET / HTTP/1.0"], "400 host"),
        ([b"GET / HTTP/1.1", b"Host: a", b"Host: a"], "400 host"),
        ([b"GET / HTTP/1.1", b"Host: a/b"], "400 host"),
        ([b"GET http://b/ HTTP/1.1", b"Host: a"], "400 two-hosts"),
        ([b"GET http://a@b/ HTTP/1.1", b"Host: b"], "400 target"),
        ([b"GET ftp://a/ HTTP/1.1", b"Host: a"], "400 target"),
        ([b"GET a:80 HTTP/1.1", b"Host: a"], "400 target"),
        ([b"GET * HTTP/1.1", b"Host: a"], "400 target"),
        ([b"CONNECT a:80 HTTP/1.1", b"Host: a:80"], "501 method"),
        ([b"TRACE / HTTP/1.1", b"Host: a"], "501 method"),
        ([b"M" * 33 + b" / HTTP/1.1", b"Host: a"], "400 request-line"),
        ([b"GET /#a HTTP/1.1", b"Host: a"], "400 request-line"),
        ([b"GET / HTTP/1.2", b"Host: a"], "505 version"),
        ([b"PRI * HTTP/2.0"], "505 version"),
        ([b"GET / http/1.1", b"Host: a"], "400 request-line"),
        ([b"GET /\nHost: b HTTP/1.1", b"Host: a"], "400 bare-cr-lf"),
        ([b"POST / HTTP/1.1", b"Host: a", b"Content-Length: +1"], "400 content-length"),
        ([b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 1, 1"], "400 content-length"),
        (
            [b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 1", b"Content-Length: 1"],
            "400 content-length",
        ),
        (
            [b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 1", b"Transfer-Encoding: chunked"],
            "400 two-lengths",
        ),
        ([b"POST / HTTP/1.0", b"Host: a", b"Transfer-Encoding: chunked"], "400 transfer-encoding"),
        ([b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: gzip"], "501 transfer-encoding"),
    ],
)
def test_what_is_not_one_clear_request_is_refused(lines: list[bytes], refused: str) -> None:
    with pytest.raises(HeadError, match=refused):
        parse(*lines)
