"""Fields that are remembered for the next head: it must be read as if nothing was."""

import pytest
from tests.desync.requests import REQUESTS, RequestCase

from bolide.balancer.heads import request as module
from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.reading import cut
from bolide.balancer.heads.request import KnownFields, RequestHead, parse_request

_LINES = (
    b"GET /a?b HTTP/1.1\r\n",
    b"HEAD /c HTTP/1.0\r\n",
    b"POST http://a/d HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n",
)


def _head(case: RequestCase) -> bytes:
    try:
        return case.wire[: cut(case.wire, 16_384)]
    except HeadError:
        return b""


_HEADS = [head for case in REQUESTS if (head := _head(case))]


def _outcome(head: bytes, known: KnownFields | None) -> RequestHead | tuple[int, str]:
    try:
        return parse_request(head, max_fields=20, cookie_name=b"__Host-bolide_lb", known=known)
    except HeadError as error:
        return error.status, error.name


@pytest.mark.parametrize("head", _HEADS)
def test_a_head_is_read_as_if_none_was_known(head: bytes) -> None:
    _, _, fields = head.removeprefix(b"\r\n").partition(b"\r\n")
    known = KnownFields()
    heads = [head, *(line + fields for line in _LINES)] * 2
    assert [_outcome(one, known) for one in heads] == [_outcome(one, None) for one in heads]


def test_other_heads_may_come_between() -> None:
    known = KnownFields()
    heads = [*_HEADS, *_HEADS]
    assert [_outcome(one, known) for one in heads] == [_outcome(one, None) for one in heads]


def test_the_same_fields_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownFields()
    fields = b"Host: a\r\nAccept: */*\r\n\r\n"
    _outcome(b"GET /a HTTP/1.1\r\n" + fields, known)
    monkeypatch.setattr(module, "_read", None)
    request = _outcome(b"PUT /b HTTP/1.1\r\n" + fields, known)
    assert isinstance(request, RequestHead)
    assert (request.method, request.target, request.host) == (b"PUT", b"/b", b"a")
    assert request.serialize(b"") == b"PUT /b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n"


def test_fewer_fields_may_be_allowed_meanwhile() -> None:
    known = KnownFields()
    head = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n"
    assert isinstance(_outcome(head, known), RequestHead)
    with pytest.raises(HeadError) as raised:
        parse_request(head, max_fields=1, cookie_name=b"__Host-bolide_lb", known=known)
    assert raised.value.name == "fields"


def test_long_ones_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownFields()
    head = b"GET / HTTP/1.1\r\nHost: a\r\nA: " + 3000 * b"a" + b"\r\n\r\n"
    assert _outcome(head, known) == _outcome(head, None)
    monkeypatch.setattr(module, "_read", None)
    with pytest.raises(TypeError):
        _outcome(head, known)
