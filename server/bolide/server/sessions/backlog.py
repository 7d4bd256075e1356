"""The backlog: what a session holds back until two views were compared.

While another user logs in, or a client that came back says what it holds, no document is sent, so
nothing may be sent that stands for documents. At the end ``ready`` comes once for all
subscriptions, and then the rest in order. Only a subscription that ended meanwhile and was asked
for again has its ``ready`` among the rest: its ``nosub`` comes first.
"""

from bolide.core.ddp.messages import Nosub, ServerMessage

__all__ = ["Backlog"]


class Backlog:
    """What waits for the end of one comparison, or of several that overlap.

    Attributes:
        packets: What is sent at the end, in order.
        size: Of the packets, bytes.
        ready: The subscriptions that became ready, each id once; told before the packets.
        ended: Those whose ``nosub`` is among the packets.
    """

    __slots__ = ("ended", "packets", "ready", "size")

    def __init__(self) -> None:
        """Begin empty."""
        self.packets: list[bytes] = []
        self.size = 0
        self.ready: dict[str, None] = {}
        self.ended: set[str] = set()

    def hold(self, message: ServerMessage, packet: bytes) -> None:
        """Hold a message back.

        Args:
            message: What it is.
            packet: What is written for it.
        """
        self.packets.append(packet)
        self.size += len(packet)
        if isinstance(message, Nosub):
            self.ended.add(message.id)
