"""The body of a message, measured piece by piece: by its length, its chunks, or its connection."""

from bolide.balancer.heads.chunks import Chunks
from bolide.balancer.heads.request import CHUNKED
from bolide.balancer.heads.response import UNTIL_CLOSE

__all__ = ["Body"]


class Body:
    """What is left of one body."""

    __slots__ = ("_chunks", "_left", "length")

    def __init__(self, length: int, *, max_fields: int, strips: bool = False) -> None:
        """Begin a body.

        Args:
            length: Bytes; ``CHUNKED``; ``UNTIL_CLOSE``.
            max_fields: How many trailers there may be.
            strips: Let only the data of chunks go on, for a peer that knows no chunks.
        """
        self.length = length
        self._left = length
        self._chunks = Chunks(max_fields=max_fields, strips=strips) if length == CHUNKED else None

    @property
    def is_complete(self) -> bool:
        """Whether all of it came."""
        return self._left == 0 if self._chunks is None else self._chunks.is_complete

    @property
    def ends_with_connection(self) -> bool:
        """Whether the end of its connection is its end; if not, that cuts it."""
        return self.length == UNTIL_CLOSE

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what came.

        Returns:
            What goes on, and what came after the end.

        Raises:
            HeadError: 400 for what are no chunks or no trailers, or too many. What went on before
                is cut short then, and must be seen to be: the connection ends.
        """
        if self._chunks is not None:
            return self._chunks.receive(data)
        if self.length == UNTIL_CLOSE:
            return data, b""
        if len(data) <= self._left:
            self._left -= len(data)
            return data, b""
        taken = data[: self._left]
        left = data[self._left :]
        self._left = 0
        return taken, left
