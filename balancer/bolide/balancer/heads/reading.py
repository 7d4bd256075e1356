"""Where a head ends."""

from typing import Final

from bolide.balancer.heads.errors import HeadError

__all__ = ["cut"]

_TWO_ENDS: Final = b"\r\n\r\n"


def cut(data: bytes, max_bytes: int) -> int:
    """Tell where a head ends.

    One empty line before it belongs to it (RFC 9112, section 2.2): it counts, and
    :func:`~bolide.balancer.heads.request.parse_request` skips it. A head that comes byte by byte
    is looked at anew with each: at most 15 us, less than it costs to receive one.

    Args:
        data: What came so far, from the first byte of a head; more may follow the head.
        max_bytes: The longest head.

    Returns:
        Length of the head with its CRLF CRLF; 0 if it is not complete.

    Raises:
        HeadError: 431 if it is longer; 400 for a second empty line, and as soon as there is a CR
            or LF of its own in what is not complete. (In what is, the parser refuses it.)
    """
    if data.startswith(_TWO_ENDS):
        raise HeadError(400, "empty-line")
    end = data.find(_TWO_ENDS, 2 if data.startswith(b"\r\n") else 0)
    if 0 <= end <= max_bytes - 4:
        return end + 4
    if end < 0:
        pairs = data.count(b"\r\n", 0, max_bytes)
        # The other half of a last CR may still come.
        returns = data.count(b"\r", 0, max_bytes) - data[:max_bytes].endswith(b"\r")
        if data.count(b"\n", 0, max_bytes) != pairs or returns > pairs:
            raise HeadError(400, "bare-cr-lf")
        if len(data) < max_bytes:
            return 0
    raise HeadError(431, "head-bytes")
