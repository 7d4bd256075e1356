"""A balancer without sockets: what it passes on of what came."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from bolide.balancer.heads.body import Body
from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.reading import cut
from bolide.balancer.heads.request import RequestHead, parse_request
from bolide.balancer.heads.response import parse_response

__all__ = ["Passed", "pass_requests", "pass_response"]

_MAX_HEAD_BYTES: Final = 16_384
_MAX_FIELDS: Final = 100
_COOKIE: Final = b"__Host-bolide_lb"


@dataclass(slots=True)
class Passed:
    """What went on.

    Attributes:
        complete: Complete messages.
        part: Of one that is not complete.
        status: With which something was refused.
        left: What a node sent beyond its response.
        requests: Heads of what went on, complete or not.
    """

    complete: list[bytes] = field(default_factory=list[bytes])
    part: bytes = b""
    status: int | None = None
    left: bytes = b""
    requests: list[RequestHead] = field(default_factory=list[RequestHead])


def pass_requests(pieces: Iterable[bytes]) -> Passed:
    """Pass on what a client sends, up to the end of the connection or to a WebSocket."""
    passed = Passed()
    waiting = b""
    body: Body | None = None
    try:
        for piece in pieces:
            waiting += piece
            while True:
                if body is None:
                    size = cut(waiting, _MAX_HEAD_BYTES)
                    if not size:
                        break
                    head = parse_request(
                        waiting[:size], max_fields=_MAX_FIELDS, cookie_name=_COOKIE
                    )
                    passed.requests.append(head)
                    waiting = waiting[size:]
                    body = Body(head.length, max_fields=_MAX_FIELDS)
                    passed.part = head.serialize(b"")
                on, waiting = body.receive(waiting)
                passed.part += on
                if not body.is_complete:
                    break
                body = None
                passed.complete.append(passed.part)
                passed.part = b""
                last = passed.requests[-1]
                if not last.keeps_alive or last.websocket_key is not None:
                    return passed
    except HeadError as error:
        passed.status = error.status
    return passed


def pass_response(request: RequestHead, pieces: Iterable[bytes]) -> Passed:
    """Pass on what a node answers, until that is complete or the node's connection ends."""
    passed = Passed()
    waiting = b""
    body: Body | None = None
    has_switched = False
    try:
        for piece in pieces:
            if has_switched:
                passed.part += piece
                continue
            waiting += piece
            while body is None:
                size = cut(waiting, _MAX_HEAD_BYTES)
                if not size:
                    break
                head = parse_response(waiting[:size], request, max_fields=_MAX_FIELDS)
                waiting = waiting[size:]
                passed.part += head.serialize(b"")
                if head.is_tunnel:
                    has_switched = True
                    passed.part += waiting
                    break
                if not head.is_interim:
                    body = Body(head.length, max_fields=_MAX_FIELDS, strips=head.strips_chunks)
            if body is not None:
                on, waiting = body.receive(waiting)
                passed.part += on
                if body.is_complete:
                    passed.left += waiting
                    waiting = b""
    except HeadError:
        # What was begun is cut, and the client can tell that.
        passed.status = None if body is not None else 502
        return passed
    if has_switched or (body is not None and (body.is_complete or body.ends_with_connection)):
        passed.complete.append(passed.part)
        passed.part = b""
    elif body is None:
        passed.status = 502
    return passed
