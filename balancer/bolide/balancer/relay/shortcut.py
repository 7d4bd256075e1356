"""A request that came before, the answer to it, and what was made of both.

Clients ask the same again and again over a connection that is kept, and get answers with the same
head. A shortcut holds such a pair as it came and as it went. It is taken only where everything is
the same that decided: each byte of the request's head, both connections, and the epoch, which is
another one after each view and each configuration. A cookie may end meanwhile, so a way is looked
for again after :data:`HOLDS_S`. The answer's head is compared anew each time; its body is whatever
came.
"""

from typing import Final

from bolide.balancer.heads.response import ResponseHead

__all__ = ["HOLDS_S", "MAX_HEAD_BYTES", "Shortcut"]

HOLDS_S: Final = 1.0
"""How long one is taken, seconds."""
MAX_HEAD_BYTES: Final = 2048
"""Of a head that a connection remembers."""


class Shortcut:
    """One request without a body, and one answer that came in one piece.

    Args:
        asked: Head of the request as it came.
        for_node: The same as it goes.
        answered: Head of the answer as it came.
        answer: The same, understood.
        for_client: The same as it goes.
        line: Begin of a line of the access log.
        epoch: In which the way was found.
        until: When it is looked for again; monotonic, seconds.

    Attributes:
        asked_bytes: Length of the request.
        answered_bytes: Length of the answer with its body.
        head_bytes: Length of the answer's head.
    """

    __slots__ = (
        "answer", "answered", "answered_bytes", "asked", "asked_bytes", "epoch", "for_client",
        "for_node", "head_bytes", "line", "until",
    )  # fmt: skip

    def __init__(
        self,
        *,
        asked: bytes,
        for_node: bytes,
        answered: bytes,
        answer: ResponseHead,
        for_client: bytes,
        line: bytes,
        epoch: int,
        until: float,
    ) -> None:
        """Keep them."""
        self.asked = asked
        self.asked_bytes = len(asked)
        self.for_node = for_node
        self.answered = answered
        self.head_bytes = len(answered)
        self.answered_bytes = len(answered) + answer.length
        self.answer = answer
        self.for_client = for_client
        self.line = line
        self.epoch = epoch
        self.until = until
