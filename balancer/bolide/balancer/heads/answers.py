"""Complete responses of the balancer itself; each ends the connection."""

from http import HTTPStatus
from typing import Final

from bolide.balancer.heads.host import host_name
from bolide.balancer.heads.request import RequestHead

__all__ = ["redirect", "refusal"]

_ADVICE: Final = {
    400: "This request is not valid HTTP/1.1, or two programs could read it in two ways.",
    403: "Ask for this with https.",
    408: "The request did not come in time; send it again.",
    413: "The body is larger than this server takes; send less.",
    417: "The only expectation that is met here is 100-continue; send the request without Expect.",
    426: "WebSockets are spoken here in version 13 only.",
    429: "There are too many connections from this address; close some.",
    431: "The head is larger than this server takes; send fewer or shorter fields and cookies.",
    501: "This method or transfer coding is not taken here.",
    502: "The server behind this one did not give a valid answer; try again.",
    503: "No server is free at the moment; try again soon.",
    504: "The server behind this one did not answer in time; try again.",
    505: "HTTP/1.1 is spoken here; send the request with it.",
}

_ALWAYS: Final = (
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"Cache-Control: no-store\r\n"
)


def refusal(status: int, retry_after_s: int, hsts: bytes) -> bytes:
    """Write a complete response that says why and what to do.

    Args:
        status: 4xx or 5xx.
        retry_after_s: When it is worth to come again; said with 503 only.
        hsts: Lines of ours, each with its CRLF; none on plain HTTP.
    """
    fields = b"Retry-After: %d\r\n" % retry_after_s if status == 503 else b""
    if status == 426:
        fields += b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    advice = _ADVICE.get(status, "")
    return _answer(status, f"{advice or HTTPStatus(status).phrase}\n", fields + hsts)


def redirect(request: RequestHead, https_port: int) -> bytes:
    """Answer a request on plain HTTP: pages are sent to https, all else is refused.

    A redirected WebSocket or POST has sent its secrets in the clear already, and would go on
    doing so unseen.

    Args:
        request: Any.
        https_port: Where https is; 443 is not named.
    """
    if request.method not in (b"GET", b"HEAD") or request.websocket_key is not None:
        return refusal(403, 0, b"")
    port = b"" if https_port == 443 else b":%d" % https_port
    location = b"https://%b%b%b" % (host_name(request.host), port, request.target)
    body = "" if request.method == b"HEAD" else "Ask for this with https.\n"
    return _answer(308, body, b"Location: %b\r\n" % location)


def _answer(status: int, body: str, fields: bytes) -> bytes:
    content = body.encode("ascii")
    return b"HTTP/1.1 %d %b\r\n%bContent-Length: %d\r\n%bConnection: close\r\n\r\n%b" % (
        status,
        HTTPStatus(status).phrase.encode("ascii"),
        _ALWAYS,
        len(content),
        fields,
        content,
    )
