"""Where a head ends."""

import pytest

from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.reading import cut

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_head_ends_after_its_empty_line() -> None:
    assert cut(HEAD + b"body\n", 100) == len(HEAD)


def test_each_part_of_a_head_is_not_complete() -> None:
    assert [cut(HEAD[:size], 100) for size in range(len(HEAD))] == [0] * len(HEAD)


def test_one_empty_line_before_a_head_belongs_to_it() -> None:
    assert cut(b"\r\n" + HEAD, 100) == len(HEAD) + 2
    assert cut(b"\r\n", 100) == 0


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\r\n\r\n" + HEAD])
def test_two_empty_lines_are_refused(data: bytes) -> None:
    with pytest.raises(HeadError, match="400 empty-line"):
        cut(data, 100)


@pytest.mark.parametrize(
    "begun",
    [b"\n", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nHost: a\n", b"GET /\rx", b"a\r\r", b"\r\r\n"],
)
def test_a_line_end_of_its_own_is_refused_at_once(begun: bytes) -> None:
    with pytest.raises(HeadError, match="400 bare-cr-lf"):
        cut(begun, 100)


def test_a_head_may_be_exactly_as_long_as_the_limit() -> None:
    assert cut(HEAD, len(HEAD)) == len(HEAD)
    with pytest.raises(HeadError, match="431 head-bytes"):
        cut(HEAD, len(HEAD) - 1)
    with pytest.raises(HeadError, match="431 head-bytes"):
        cut(b"G" * 100, 100)
    assert cut(b"G" * 99, 100) == 0
