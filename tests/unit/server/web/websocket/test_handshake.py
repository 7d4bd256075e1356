"""Handshake: strict about the request, careful with the answer."""

import pytest

from bolide.core.errors import LocalProtocolError
from bolide.server.web.websocket.handshake import BadHandshake, accepting, parse_handshake, refusing

# The example of RFC 6455, section 1.2.
KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
HEADERS = {
    "host": "ward.example.org",
    "upgrade": "websocket",
    "connection": "keep-alive, Upgrade",
    "sec-websocket-key": KEY.decode(),
    "sec-websocket-version": "13",
}


def head(
    *lines: bytes, request: bytes = b"GET /websocket?a=1 HTTP/1.1", **changes: str | None
) -> bytes:
    """Return a request head; a header that is changed to None is left out."""
    changed = {name.replace("_", "-"): value for name, value in changes.items()}
    kept = {**HEADERS, **changed}
    return b"\r\n".join(
        [request, *(f"{name}: {value}".encode() for name, value in kept.items() if value), *lines]
    )


def test_handshake_of_a_browser_is_read() -> None:
    found = parse_handshake(head(b"Sec-WebSocket-Protocol: a, b", b"sec-websocket-protocol: c"))
    assert found.target == b"/websocket?a=1"
    assert found.key == KEY
    assert found.subprotocols == ["a", "b", "c"]
    assert (b"sec-websocket-protocol", b"a, b") in found.headers
    assert (b"host", b"ward.example.org") in found.headers


def test_names_and_tokens_are_the_same_in_capitals() -> None:
    found = parse_handshake(head(upgrade="h2c, WebSocket", connection="UPGRADE"))
    assert found.subprotocols == []


@pytest.mark.parametrize(
    "wrong",
    [
        head(request=b"POST /websocket HTTP/1.1"),
        head(request=b"GET /websocket HTTP/1.0"),
        head(request=b"GET /websocket"),
        head(request=b"GET http://ward.example.org/websocket HTTP/1.1"),
        head(request=b"GET * HTTP/1.1"),
        head(request=b"GET /a\xffb HTTP/1.1"),
        head(request=b"GET /a b HTTP/1.1"),
        head(upgrade=None),
        head(upgrade="h2c"),
        head(connection=None),
        head(connection="keep-alive"),
        head(host=None),
        head(b"host: evil.example"),
        head(sec_websocket_key=None),
        head(sec_websocket_key="c2hvcnQ="),
        head(sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ"),
        head(sec_websocket_key="not base64 at all!!"),
        head(b"sec-websocket-key: " + KEY),
        head(sec_websocket_version=None),
        head(b"sec-websocket-version: 13"),
        head(b"transfer-encoding: chunked"),
        head(b"content-length: 1"),
        head(b"sec-websocket-protocol: a b"),
        head(b"sec-websocket-protocol: a, a"),
        head(b" folded: value"),
        head(b"no colon"),
        head(b"a name: value"),
        head(b"name: va\nlue"),
        head(b"name: va\rlue"),
        head(b"name: va\0lue"),
        head(b"x-empty-line:", b""),
    ],
)
def test_what_is_no_handshake_is_refused(wrong: bytes) -> None:
    with pytest.raises(BadHandshake) as caught:
        parse_handshake(wrong)
    assert caught.value.status == 400
    assert "evil" not in str(caught.value)


def test_body_of_no_bytes_is_none() -> None:
    assert parse_handshake(head(b"content-length: 0")).key == KEY


def test_other_version_is_told_which_one_is_spoken() -> None:
    with pytest.raises(BadHandshake) as caught:
        parse_handshake(head(sec_websocket_version="8"))
    assert caught.value.status == 426
    assert caught.value.headers == [(b"Sec-WebSocket-Version", b"13")]


def test_answer_proves_that_the_key_was_read() -> None:
    assert accepting(KEY, subprotocol=None, headers=[]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
    )
    answer = accepting(KEY, subprotocol="a", headers=[(b"set-cookie", b"x=1")])
    assert answer.endswith(b"\r\nset-cookie: x=1\r\nsec-websocket-protocol: a\r\n\r\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x", b"a\r\nb: c"),
        (b"x y", b"a"),
        (b"x:", b"a"),
        (b"Sec-WebSocket-Accept", b"a"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
    ],
)
def test_header_that_would_break_the_answer_is_our_callers_fault(name: bytes, value: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        accepting(KEY, subprotocol=None, headers=[(name, value)])


def test_subprotocol_may_not_break_the_answer() -> None:
    with pytest.raises(LocalProtocolError):
        accepting(KEY, subprotocol="a\r\nb: c", headers=[])


def test_refusal_is_whole_http_and_the_last() -> None:
    headers = [(b"x-why", b"not now"), (b"Content-Length", b"9"), (b"Connection", b"keep-alive")]
    assert refusing(403, headers, b"no\n") == (
        b"HTTP/1.1 403 Forbidden\r\nx-why: not now\r\n"
        b"content-length: 3\r\nconnection: close\r\n\r\nno\n"
    )
    assert refusing(599, [], b"").startswith(b"HTTP/1.1 599 \r\n")


@pytest.mark.parametrize("status", [0, 101, 199, 600])
def test_refusal_without_a_final_status_is_our_callers_fault(status: int) -> None:
    with pytest.raises(LocalProtocolError):
        refusing(status, [], b"")


def test_refusal_with_a_broken_header_is_our_callers_fault() -> None:
    with pytest.raises(LocalProtocolError):
        refusing(403, [(b"x", b"a\nb")], b"")
