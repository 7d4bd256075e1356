"""Chunks, piece by piece."""

import tracemalloc

import pytest

from bolide.balancer.heads.chunks import MAX_CHUNK_LINE_BYTES, MAX_TRAILER_BYTES, Chunks
from bolide.balancer.heads.errors import HeadError


def body(*, strips: bool = False) -> Chunks:
    return Chunks(max_fields=10, strips=strips)


def chunked(data: bytes, *, strips: bool = False) -> tuple[bytes, bytes, bool]:
    """Take it whole and byte by byte; both must be the same."""
    whole = body(strips=strips)
    result = (*whole.receive(data), whole.is_complete)
    assert chunked_singly(data, strips=strips) == result
    return result


def chunked_singly(data: bytes, *, strips: bool = False) -> tuple[bytes, bytes, bool]:
    single = body(strips=strips)
    parts = [single.receive(data[at : at + 1]) for at in range(len(data))]
    on, left = (b"".join(part[side] for part in parts) for side in (0, 1))
    return on, left, single.is_complete


def test_chunks_are_written_anew() -> None:
    data = b'0005;a;b=c ; d="e;\\" f"\r\nhello\r\nA\t;x\r\n0123456789\r\n000;y\r\n\r\nGET'
    assert chunked(data) == (b"5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n", b"GET", True)
    assert chunked(data, strips=True) == (b"hello0123456789", b"GET", True)


def test_trailers_stay_if_they_may() -> None:
    data = (
        b"0\r\nX-Sum:1 \r\nContent-Length: 5\r\ntransfer_encoding: x\r\nX-Forwarded-For: x\r\n"
        b"Cookie: x\r\n\r\nrest"
    )
    assert chunked(data) == (b"0\r\nX-Sum: 1\r\n\r\n", b"rest", True)
    assert chunked(data, strips=True) == (b"", b"rest", True)


def test_half_a_body_is_not_complete() -> None:
    data = b"3\r\nabc\r\n0\r\na: b\r\n\r\n"
    for size in range(len(data)):
        assert not chunked(data[:size])[2]
    assert chunked(data)[2]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"x", "chunk-size"),
        (b"\r", "chunk-size"),
        (b"-1", "chunk-size"),
        (b" 1", "chunk-size"),
        (b"0x1", "chunk-size"),
        (b"1 \r\n", "chunk-size"),
        (b"1\n", "chunk-size"),
        (b"1\rx", "chunk-size"),
        (b"1;\r\n", "chunk-size"),
        (b"1;a=\r\n", "chunk-size"),
        (b"1;a\n", "chunk-size"),
        (b"1;a\rb", "chunk-size"),
        (b"1;\x00", "chunk-size"),
        (b'1;a="\r\n', "chunk-size"),
        (b"0" * 17, "chunk-size"),
        (b"ffffffffffffffff\r\n", "chunk-size"),
        (b"1;" + b"a" * MAX_CHUNK_LINE_BYTES, "chunk-size"),
        (b"1\r\nab", "chunk-end"),
        (b"1\r\na\n", "chunk-end"),
        (b"1\r\na\r\r", "chunk-end"),
        (b"1\r\na\r\n\r\n", "chunk-size"),
        (b"0\r\na: b\n", "bare-cr-lf"),
        (b"0\r\n\rx", "bare-cr-lf"),
        (b"0\r\na: b\r\n c\r\n\r\n", "folded-field"),
        (b"0\r\na b: c\r\n\r\n", "field"),
        (b"0\r\n" + b"a: b\r\n" * 11 + b"\r\n", "fields"),
        (b"0\r\n" + b"a" * MAX_TRAILER_BYTES, "head-bytes"),
    ],
)
def test_what_is_no_chunk_is_refused(data: bytes, name: str) -> None:
    with pytest.raises(HeadError, match=name):
        body().receive(data)
    with pytest.raises(HeadError, match=name):
        chunked_singly(data)


def test_a_body_that_goes_on_for_ever_needs_no_more_memory() -> None:
    endless = body()
    endless.receive(b"%x\r\n" % 2**40)
    piece = b"x" * 65_536
    endless.receive(piece)
    tracemalloc.start()
    for _ in range(1_000):
        endless.receive(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * len(piece)
