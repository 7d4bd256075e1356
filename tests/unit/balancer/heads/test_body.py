"""Bodies, piece by piece."""

from bolide.balancer.heads.body import Body
from bolide.balancer.heads.request import CHUNKED
from bolide.balancer.heads.response import UNTIL_CLOSE


def body_of(length: int) -> Body:
    return Body(length, max_fields=10)


def test_a_body_of_a_length_ends_there() -> None:
    five = body_of(5)
    first = bytes(bytearray(b"abc"))
    on, left = five.receive(first)
    assert on is first
    assert left == b""
    assert not five.is_complete
    assert five.receive(b"defg") == (b"de", b"fg")
    assert five.is_complete
    assert five.receive(b"h") == (b"", b"h")
    assert not five.ends_with_connection


def test_a_piece_that_is_all_the_rest_is_not_copied() -> None:
    data = bytes(bytearray(b"abc"))
    assert body_of(3).receive(data)[0] is data


def test_no_body_is_complete_at_once() -> None:
    assert body_of(0).is_complete
    assert body_of(0).receive(b"x") == (b"", b"x")


def test_a_body_until_the_end_takes_all() -> None:
    endless = body_of(UNTIL_CLOSE)
    assert endless.ends_with_connection
    assert endless.receive(b"x") == (b"x", b"")
    assert not endless.is_complete


def test_chunks_go_on_as_chunks_or_as_what_is_in_them() -> None:
    data = b"05\r\nhello\r\n0\r\n\r\nleft"
    as_chunks = body_of(CHUNKED)
    assert not as_chunks.is_complete
    assert as_chunks.receive(data) == (b"5\r\nhello\r\n0\r\n\r\n", b"left")
    assert as_chunks.is_complete
    assert as_chunks.receive(b"x") == (b"", b"x")
    stripped = Body(CHUNKED, max_fields=10, strips=True)
    assert stripped.receive(data) == (b"hello", b"left")
    assert not stripped.ends_with_connection
