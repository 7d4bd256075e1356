"""A message that waits in a session's queue: as it was read, or as text while that is smaller.

The values of a message take up to :data:`~bolide.server.limits.VALUES_PER_TEXT` times the room of
their text, so many large ones would hold far more than ``max_queued_bytes``. A large message is
therefore read when it comes, to know what it is, and once more when its turn comes.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from bolide.core.ddp.codec import parse_client_message
from bolide.core.ddp.messages import BadMessage, Method, Sub, Unsub
from bolide.core.errors import Details

__all__ = ["MAX_READ_BYTES", "Queued", "Waiting", "let_wait", "read_again", "sub_id"]

MAX_READ_BYTES: Final = 256
"""A message up to this size waits as it was read, bytes; nearly every one does."""

Queued: TypeAlias = Sub | Unsub | Method | BadMessage
"""What waits for its turn."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A message as text.

    Attributes:
        text: In UTF-8.
        sub_id: The id of the subscription that it asks for, if it is that.
    """

    text: bytes
    sub_id: str | None


Waiting: TypeAlias = Queued | Unread
"""How it waits."""


def let_wait(message: Queued, frame: str, size: int) -> Waiting:
    """Return what is kept of a message until its turn.

    Args:
        message: As it was read.
        frame: As it came.
        size: Of the frame, bytes.
    """
    if size <= MAX_READ_BYTES:
        return message
    text = frame.encode("utf-8", "surrogatepass")
    return Unread(text, message.id if isinstance(message, Sub) else None)


def read_again(waiting: Waiting, max_depth: int) -> Queued:
    """Return the message whose turn came.

    Args:
        waiting: Of :func:`let_wait`.
        max_depth: Levels of arrays and objects, as when it was read first.
    """
    if not isinstance(waiting, Unread):
        return waiting
    frame = waiting.text.decode("utf-8", "surrogatepass")
    message = parse_client_message(frame, max_depth=max_depth)
    if isinstance(message, Queued):
        return message
    # It was in the wrong place: only then such a message waits.
    offending: Details = msgspec.json.decode(frame)
    return BadMessage("Bad request", offending)


def sub_id(waiting: Waiting) -> str | None:
    """Return the id of the subscription that a message asks for; None if it is another one."""
    if isinstance(waiting, Unread):
        return waiting.sub_id
    return waiting.id if isinstance(waiting, Sub) else None
