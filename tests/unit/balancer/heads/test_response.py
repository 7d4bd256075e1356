"""Heads of responses: how long their bodies are, and what a client sees."""

import pytest

from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.request import CHUNKED, RequestHead, parse_request
from bolide.balancer.heads.response import UNTIL_CLOSE, ResponseHead, parse_response

COOKIE = b"__Host-bolide_lb"
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols",
    b"Upgrade: WebSocket",
    b"Connection: upgrade",
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
)


def request(method: bytes = b"GET", version: bytes = b"1.1", *lines: bytes) -> RequestHead:
    first = (method + b" / HTTP/" + version, b"Host: a", *lines, b"")
    head = b"".join(line + b"\r\n" for line in first)
    return parse_request(head, max_fields=100, cookie_name=COOKIE)


PAGE = request()
OLD = request(version=b"1.0")
WEBSOCKET = request(
    b"GET",
    b"1.1",
    b"Connection: upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def parse(*lines: bytes, to: RequestHead = PAGE) -> ResponseHead:
    head = b"".join(line + b"\r\n" for line in (*lines, b""))
    return parse_response(head, to, max_fields=100)


def for_client(response: ResponseHead, extra: bytes = b"") -> list[bytes]:
    return response.serialize(extra).split(b"\r\n")[:-2]


def test_a_response_is_read_and_written_anew() -> None:
    response = parse(
        b"HTTP/1.1 200 Fine",
        b"server: x",
        b"content-length:05",
        b"Connection: keep-alive, x-mine",
        b"X-Mine: 1",
        b"Keep-Alive: 5",
        b'Alt-Svc: h3=":443"',
        b"Set-Cookie: a=b",
        b"Set-Cookie: __Host-bolide_lb=mine",
    )
    assert response.status == 200
    assert response.length == 5
    assert response.keeps_alive
    assert response.keeps_client
    assert for_client(response, b"Set-Cookie: ours\r\n") == [
        b"HTTP/1.1 200 Fine",
        b"server: x",
        b"Set-Cookie: a=b",
        b"Content-Length: 5",
        b"Set-Cookie: ours",
    ]


def test_a_reason_may_be_missing() -> None:
    assert for_client(parse(b"HTTP/1.1 404", b"Content-Length: 0"))[0] == b"HTTP/1.1 404 "


def test_our_hsts_takes_the_place_of_the_nodes() -> None:
    response = parse(b"HTTP/1.1 204 x", b"strict-transport-security: max-age=1")
    assert for_client(response)[1:] == [b"strict-transport-security: max-age=1"]
    ours = b"Strict-Transport-Security: max-age=2"
    assert for_client(response, ours + b"\r\n")[1:] == [ours]


def test_a_client_that_wants_no_more_is_told_so() -> None:
    closing = request(b"GET", b"1.1", b"Connection: close")
    response = parse(b"HTTP/1.1 200 OK", b"Content-Length: 0", to=closing)
    assert response.keeps_alive
    assert response.keeps_client
    assert for_client(response)[-1] == b"Connection: close"


def test_a_node_that_wants_no_more_is_no_matter_of_the_client() -> None:
    response = parse(b"HTTP/1.1 200 OK", b"Content-Length: 0", b"Connection: close")
    assert not response.keeps_alive
    assert for_client(response) == [b"HTTP/1.1 200 OK", b"Content-Length: 0"]
    assert not parse(b"HTTP/1.0 200 OK", b"Content-Length: 0").keeps_alive


def test_chunks_are_for_those_who_know_them() -> None:
    response = parse(b"HTTP/1.1 200 OK", b"Transfer-Encoding: Chunked")
    assert response.length == CHUNKED
    assert not response.strips_chunks
    assert for_client(response)[1:] == [b"Transfer-Encoding: chunked"]
    response = parse(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", to=OLD)
    assert response.length == CHUNKED
    assert response.strips_chunks
    assert not response.keeps_client
    assert for_client(response)[1:] == [b"Connection: close"]


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    response = parse(b"HTTP/1.1 200 OK")
    assert response.length == UNTIL_CLOSE
    assert not response.keeps_alive
    assert not response.keeps_client
    assert for_client(response)[1:] == [b"Connection: close"]


@pytest.mark.parametrize(
    ("method", "lines", "said"),
    [
        (b"HEAD", (b"HTTP/1.1 200 OK", b"Content-Length: 5"), [b"Content-Length: 5"]),
        (
            b"HEAD",
            (b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"),
            [b"Transfer-Encoding: chunked"],
        ),
        (b"HEAD", (b"HTTP/1.1 200 OK",), []),
        (b"GET", (b"HTTP/1.1 304 x", b"Content-Length: 5"), [b"Content-Length: 5"]),
        (b"GET", (b"HTTP/1.1 304 x", b"Transfer-Encoding: chunked"), []),
        (b"GET", (b"HTTP/1.1 204 x",), []),
    ],
)
def test_some_responses_have_no_body(
    method: bytes, lines: tuple[bytes, ...], said: list[bytes]
) -> None:
    response = parse(*lines, to=request(method))
    assert response.length == 0
    assert response.keeps_alive
    assert response.keeps_client
    assert for_client(response)[1:] == said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((b"HTTP/1.1 204 x", b"Content-Length: 5"), []),
        ((b"HTTP/1.1 204 x", b"Transfer-Encoding: chunked"), []),
        ((b"HTTP/1.1 205 x", b"Content-Length: 5"), [b"Content-Length: 0"]),
        ((b"HTTP/1.1 205 x", b"Transfer-Encoding: chunked"), [b"Content-Length: 0"]),
        ((b"HTTP/1.1 205 x",), [b"Content-Length: 0"]),
    ],
)
def test_a_body_where_none_may_be_goes_down_with_the_connection(
    lines: tuple[bytes, ...], said: list[bytes]
) -> None:
    response = parse(*lines)
    assert response.length == 0
    assert not response.keeps_alive
    assert response.keeps_client
    assert for_client(response)[1:] == said


def test_an_empty_205_says_so() -> None:
    assert parse(b"HTTP/1.1 205 x", b"Content-Length: 0").keeps_alive


def test_an_interim_response_is_passed_on_as_it_is() -> None:
    response = parse(b"HTTP/1.1 103 Early Hints", b"Link: </a>", b"Content-Length: 0")
    assert response.is_interim
    assert response.length == 0
    assert for_client(response, b"Set-Cookie: ours\r\n") == [
        b"HTTP/1.1 103 Early Hints",
        b"Link: </a>",
    ]


def test_http_1_0_knows_no_interim_response() -> None:
    assert parse(b"HTTP/1.1 100 Continue", to=OLD).serialize(b"") == b""


def test_a_true_switch_is_a_tunnel() -> None:
    response = parse(*SWITCH, to=WEBSOCKET)
    assert response.is_tunnel
    assert not response.is_interim
    assert response.length == 0
    assert for_client(response, b"Set-Cookie: ours\r\n") == [
        SWITCH[0],
        SWITCH[3],
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Set-Cookie: ours",
    ]


def test_a_switch_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(HeadError, match="502 bad-switch"):
        parse(*SWITCH)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"s3pP", b"t3pP"),
        (b"Accept", b"Accpt"),
        (b"WebSocket\0", b"h2c"),
        (b"Connection: upgrade", b"Connection: close"),
        (b"Connection: upgrade", b"Connection: upgrade\r\nContent-Length: 5"),
        (b"Connection: upgrade", b"Connection: upgrade\r\nTransfer-Encoding: chunked"),
        (b"Connection: upgrade", b"Connection: upgrade\r\nUpgrade: websocket"),
        (b"Connection: upgrade", b"Connection: upgrade\r\n" + SWITCH[3]),
    ],
)
def test_a_wrong_switch_is_refused(old: bytes, new: bytes) -> None:
    lines = [(line + b"\0").replace(old, new).rstrip(b"\0") for line in SWITCH]
    assert lines != list(SWITCH)
    with pytest.raises(HeadError, match="502 bad-switch"):
        parse(*lines, to=WEBSOCKET)


def test_an_upgrade_may_be_declined() -> None:
    response = parse(b"HTTP/1.1 403 Forbidden", b"Content-Length: 0", to=WEBSOCKET)
    assert not response.is_tunnel
    assert for_client(response) == [b"HTTP/1.1 403 Forbidden", b"Content-Length: 0"]


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ([b"HTTP/2 200 OK"], "status-line"),
        ([b"HTTP/1.1 099 x"], "status-line"),
        ([b"HTTP/1.1 600 x"], "status-line"),
        ([b"HTTP/1.1 20 x"], "status-line"),
        ([b"HTTP/1.1  200 x"], "status-line"),
        ([b"HTTP/1.1 200 \x00"], "status-line"),
        ([b"", b"HTTP/1.1 200 OK"], "status-line"),
        ([b"HTTP/1.1 200 OK", b"a: b", b" c"], "folded-field"),
        ([b"HTTP/1.1 200 OK", b"Content-Length: 1, 1"], "content-length"),
        ([b"HTTP/1.1 200 OK", b"Content-Length: 1", b"Content-Length: 2"], "content-length"),
        (
            [b"HTTP/1.1 200 OK", b"Content-Length: 1", b"Transfer-Encoding: chunked"],
            "two-lengths",
        ),
        ([b"HTTP/1.1 200 OK", b"Transfer-Encoding: gzip, chunked"], "transfer-encoding"),
        ([b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked"], "transfer-encoding"),
        ([b"HTTP/1.1 100 Continue", b"Content-Length: 5"], "body-of-interim"),
        ([b"HTTP/1.1 200 OK", b"Connection: @"], "connection"),
    ],
)
def test_what_is_not_one_clear_response_is_refused(lines: list[bytes], name: str) -> None:
    with pytest.raises(HeadError, match=f"502 {name}"):
        parse(*lines)
