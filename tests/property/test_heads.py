"""Heads and bodies: whatever comes, it is refused or is one thing to everybody behind."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.desync.parsers import METHODS_OF_LLHTTP, read_by_h11, read_by_llhttp
from tests.desync.passing import Passed, pass_requests, pass_response
from tests.desync.requests import REQUESTS
from tests.desync.responses import RESPONSES

from bolide.balancer.heads.body import Body
from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.proxy_protocol import ProxyHeader, parse_proxy_header
from bolide.balancer.heads.request import CHUNKED, RequestHead, parse_request

TELLING = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"0", b"5", b"\x00", b"\x0b", b"\xe4",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"chunked", b"Host: b\r\n",
    b"\r\n\r\n", b"0\r\n\r\n", b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n", b"Connection: close\r\n",
    b"Upgrade: websocket\r\n", b"_", b"HTTP/1.0", b"http://a", b"#", b'"',
]  # fmt: skip
SHORT = 2_000
"""Bytes of the cases that are changed: long ones would be changed in their filling only."""


@st.composite
def changed(draw: st.DrawFn, cases: list[bytes]) -> bytes:
    """Draw what is almost one of the cases."""
    data = draw(st.sampled_from([case for case in cases if len(case) < SHORT]))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.sampled_from([0, 0, 1, 2, 20]))
        data = data[:at] + draw(st.sampled_from(TELLING) | st.binary(max_size=3)) + data[end:]
    return data


sent = changed([case.wire for case in REQUESTS]) | st.binary(max_size=200)
answered = changed([case.wire for case in RESPONSES])
answerable = st.sampled_from(sorted({case.request for case in RESPONSES}))


@st.composite
def in_pieces(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> tuple[bytes, list[bytes]]:
    data = draw(whole)
    ends = draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    return data, [data[at:end] for at, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def parse(head: bytes) -> RequestHead:
    return parse_request(head, max_fields=100, cookie_name=b"__Host-bolide_lb")


def result(passed: Passed) -> tuple[list[bytes], int | None, list[RequestHead]]:
    # What went on before a refusal is a part, and may be shorter if all came at once.
    return passed.complete, passed.status, passed.requests


@settings(deadline=None)
@given(in_pieces(sent))
def test_a_request_is_the_same_in_any_pieces(drawn: tuple[bytes, list[bytes]]) -> None:
    data, pieces = drawn
    assert result(pass_requests(pieces)) == result(pass_requests([data]))


@settings(deadline=None)
@given(sent)
def test_what_a_node_gets_is_what_the_balancer_understood(data: bytes) -> None:
    for request in pass_requests([data]).requests:
        again = parse(request.serialize(b""))
        assert again.serialize(b"") == request.serialize(b"")
        for name in ("method", "target", "path", "host", "length", "websocket_key", "fields"):
            assert getattr(again, name) == getattr(request, name)
        assert again.cookie is None


@settings(deadline=None)
@given(sent)
def test_everybody_behind_counts_the_same_requests(data: bytes) -> None:
    passed = pass_requests([data])
    stream = b"".join(passed.complete)
    heads = passed.requests[: len(passed.complete)]
    read = read_by_h11(stream)
    assert [message[:2] for message in read] == [(head.method, head.target) for head in heads]
    if all(head.method in METHODS_OF_LLHTTP for head in heads):
        assert read_by_llhttp(stream) == read


@settings(deadline=None)
@given(sent)
def test_what_is_passed_on_passes_again(data: bytes) -> None:
    stream = b"".join(pass_requests([data]).complete)
    again = pass_requests([stream])
    assert b"".join(again.complete) == stream
    assert again.status is None


@settings(deadline=None)
@given(answerable, in_pieces(answered))
def test_a_response_is_the_same_in_any_pieces(
    asked: bytes, drawn: tuple[bytes, list[bytes]]
) -> None:
    data, pieces = drawn
    request = parse(asked)
    in_parts, whole = pass_response(request, pieces), pass_response(request, [data])
    assert (in_parts.complete, in_parts.status) == (whole.complete, whole.status)


@settings(deadline=None)
@given(answerable, answered)
def test_a_response_that_is_passed_on_passes_again(asked: bytes, data: bytes) -> None:
    request = parse(asked)
    for complete in pass_response(request, [data]).complete:
        assert pass_response(request, [complete]).complete == [complete]


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    st.sampled_from([b"", b";a", b' ; a="b;\\""']),
    st.data(),
)
def test_chunks_carry_what_they_carry(
    chunks: list[bytes], extension: bytes, data: st.DataObject
) -> None:
    coded = b"".join(b"%04X%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in chunks)
    _, pieces = data.draw(in_pieces(st.just(coded + b"0\r\nA: b\r\n\r\n")))
    anew = Body(CHUNKED, max_fields=1)
    stripped = Body(CHUNKED, max_fields=1, strips=True)
    written = b"".join([anew.receive(piece)[0] for piece in pieces])
    assert b"".join([stripped.receive(piece)[0] for piece in pieces]) == b"".join(chunks)
    assert written == b"".join(
        [*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in chunks), b"0\r\nA: b\r\n\r\n"]
    )
    assert anew.is_complete
    assert stripped.is_complete


@settings(deadline=None)
@given(st.binary(max_size=120) | st.binary(max_size=60).map(b"PROXY TCP4 ".__add__))
def test_a_proxy_header_is_refused_as_soon_as_it_is_wrong(data: bytes) -> None:
    def parsed(size: int) -> ProxyHeader | str | None:
        try:
            return parse_proxy_header(data[:size])
        except HeadError as error:
            return error.name

    results = [parsed(size) for size in range(len(data) + 1)]
    certain = [result for result in results if result is not None]
    assert all(result == certain[0] for result in certain)
    assert results == [None] * (len(results) - len(certain)) + certain
