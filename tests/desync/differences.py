"""What another proxy does otherwise than the balancer, in the words of a page of ours."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tests.desync.passing import pass_requests, pass_response
from tests.desync.requests import RequestCase
from tests.desync.responses import ResponseCase

from bolide.balancer.heads.body import Body
from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.request import CHUNKED, parse_request

__all__ = ["request_difference", "response_difference"]

_WORDS: Final = frozenset({b"connection", b"upgrade"})
"""Fields whose values are the same in capitals."""

_OURS: Final = Counter({(b"x-forwarded-for", b"127.0.0.1"): 1})
"""What both say of the client."""

Fields = Counter[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class _Message:
    first: str
    body: bytes
    fields: Fields


def request_difference(case: RequestCase, passed: list[bytes]) -> str | None:
    """Return what a proxy does otherwise with a request; None if nothing.

    How it refuses is no difference: whether its answer arrives depends on what it left unread.

    Args:
        case: What was sent.
        passed: The requests that the node got.
    """
    ours = [_read_request(request) for request in pass_requests([case.wire]).complete]
    theirs = [_read_request(request) for request in passed]
    if [(one.first, one.body) for one in ours] == [(one.first, one.body) for one in theirs]:
        return _other_fields(ours, theirs)
    if not theirs:
        return "refuses it"
    if len(theirs) > max(len(ours), 1):
        return f"passes on {len(theirs)} requests"
    return "passes on another target" if ours else "passes it on"


def response_difference(case: ResponseCase, answered: bytes) -> str | None:
    """Return what a proxy does otherwise with a response; None if nothing.

    Args:
        case: The request, and what the node answered.
        answered: All that the client got.
    """
    request = parse_request(case.request, max_fields=100, cookie_name=b"__Host-bolide_lb")
    theirs = pass_response(request, [answered])
    is_cut = not theirs.complete and theirs.status is None
    has_refused = not answered or is_cut or b" 502 " in answered
    if not isinstance(case.becomes, str):
        return None if has_refused else "passes it on"
    if has_refused:
        return "refuses it"
    mine, other = _read_response(case.client_gets), _read_response(answered)
    if mine.first != other.first:
        return "passes on another status"
    return "passes on a body" if mine.body != other.body else _other_fields([mine], [other])


def _other_fields(ours: list[_Message], theirs: list[_Message]) -> str | None:
    more: Fields = Counter()
    fewer: Fields = Counter()
    for mine, other in zip(ours, theirs, strict=True):
        more += other.fields - mine.fields - _OURS
        fewer += mine.fields - other.fields
    if more and fewer:
        return "passes on other fields"
    if more or fewer:
        return "passes on more fields" if more else "passes on fewer fields"
    return None


def _read_request(data: bytes) -> _Message:
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    read = _read_fields(fields)
    hosts = [value for name, value in read if name == b"host"]
    # The version is that between proxy and node.
    first = b" ".join([line.rpartition(b" ")[0], b"of", *hosts])
    return _Message(first.decode("latin-1"), *_read_body(read, body))


def _read_response(data: bytes) -> _Message:
    statuses: list[str] = []
    while True:
        head, _, data = data.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        statuses.append(line[9:12].decode("latin-1"))
        if not statuses[-1].startswith("1") or statuses[-1] == "101":
            return _Message(" ".join(statuses), *_read_body(_read_fields(fields), data))


def _read_fields(lines: list[bytes], prefix: bytes = b"") -> Fields:
    split = (line.partition(b":") for line in lines if line)
    fields = ((prefix + name.lower(), value.strip()) for name, _, value in split)
    return Counter((name, value.lower() if name in _WORDS else value) for name, value in fields)


def _read_body(fields: Fields, body: bytes) -> tuple[bytes, Fields]:
    """Return the data, and the fields but those that were looked at already."""
    names = {name for name, _ in fields}
    if b"transfer-encoding" in names:
        data, _, trailers = body.rpartition(b"0\r\n")
        fields = fields + _read_fields(trailers.split(b"\r\n"), b"trailer ")
        # What cannot be read is compared as it is.
        with suppress(HeadError):
            stripped = Body(CHUNKED, max_fields=100, strips=True)
            body = stripped.receive(data)[0]
    read = {b"host", b"content-length", b"transfer-encoding"}
    return body, Counter({field: count for field, count in fields.items() if field[0] not in read})
