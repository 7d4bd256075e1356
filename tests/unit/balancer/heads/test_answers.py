"""What the balancer itself answers."""

import pytest

from bolide.balancer.heads.answers import redirect, refusal
from bolide.balancer.heads.request import RequestHead, parse_request
from bolide.balancer.heads.response import parse_response

HSTS = b"Strict-Transport-Security: max-age=1\r\n"


def asked(first: bytes, *lines: bytes) -> RequestHead:
    head = b"".join(line + b"\r\n" for line in (first, *lines, b""))
    return parse_request(head, max_fields=100, cookie_name=b"c")


PAGE = asked(b"GET /a?b HTTP/1.1", b"Host: a:8080")


@pytest.mark.parametrize("status", [400, 403, 408, 413, 417, 426, 429, 431, 500, 501, 502, 503])
def test_a_refusal_is_a_whole_response(status: int) -> None:
    head, _, body = refusal(status, 2, HSTS).partition(b"\r\n\r\n")
    response = parse_response(head + b"\r\n\r\n", PAGE, max_fields=20)
    assert response.status == status
    assert response.length == len(body) > 0
    assert not response.keeps_alive
    assert HSTS in head + b"\r\n"
    assert (b"\r\nRetry-After: 2\r\n" in head) == (status == 503)


def test_an_old_websocket_is_told_which_version() -> None:
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in refusal(426, 0, b"")


def test_a_page_is_at_https() -> None:
    assert redirect(PAGE, 443).startswith(b"HTTP/1.1 308 Permanent Redirect\r\n")
    assert b"\r\nLocation: https://a/a?b\r\n" in redirect(PAGE, 443)
    assert b"\r\nLocation: https://a:8443/a?b\r\n" in redirect(PAGE, 8443)
    address = asked(b"GET / HTTP/1.1", b"Host: [::1]:80")
    assert b"\r\nLocation: https://[::1]/\r\n" in redirect(address, 443)


def test_a_redirect_of_head_has_no_body() -> None:
    answer = redirect(asked(b"HEAD / HTTP/1.1", b"Host: a"), 443)
    assert answer.startswith(b"HTTP/1.1 308 ")
    assert answer.endswith(b"\r\n\r\n")


def test_nothing_but_pages_is_redirected() -> None:
    upgrade = asked(
        b"GET / HTTP/1.1",
        b"Host: a",
        b"Connection: upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    for request in (upgrade, asked(b"POST / HTTP/1.1", b"Host: a")):
        assert redirect(request, 443).startswith(b"HTTP/1.1 403 ")
