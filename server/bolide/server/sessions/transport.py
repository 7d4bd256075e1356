"""The socket as a session sees it, and how messages are put on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bolide.core.ddp.codec import encode
from bolide.core.ddp.messages import ServerMessage

__all__ = ["PLAIN", "Framing", "Transport", "Wire"]


class Framing(Protocol):
    """How messages sit on a socket; one object for all sessions that have the same."""

    def packet(self, message: bytes) -> bytes:
        """Return what is written for one message.

        Args:
            message: JSON text, UTF-8.
        """
        ...

    def bundle(self, packets: Sequence[bytes]) -> Sequence[bytes]:
        """Return the packets of one turn in as few pieces as can be written one after another."""
        ...


class _Plain:
    """A packet is the message itself, for sockets that frame it themselves."""

    def packet(self, message: bytes) -> bytes:
        return message

    def bundle(self, packets: Sequence[bytes]) -> Sequence[bytes]:
        return packets


PLAIN: Final[Framing] = _Plain()


class Transport(Protocol):
    """The socket; it tells the driver when it is full and when there is room again.

    Attributes:
        framing: Makes the packets that it sends.
    """

    framing: Framing

    @property
    def waiting_bytes(self) -> int:
        """What was given to :meth:`send` and not taken by the peer's system yet, bytes."""
        ...

    def send(self, packets: Sequence[bytes]) -> None:
        """Send packets of its framing, in order; after :meth:`close` nothing."""
        ...

    def close(self, reason: str, *, at_fault: bool = False) -> None:
        """Close after everything given to :meth:`send`."""
        ...


@dataclass(frozen=True, slots=True)
class Wire:
    """All that decides how a message is written; packets are shared by sessions of one wire.

    Attributes:
        framing: How messages sit on the socket.
        bolide: The session negotiated our extensions, so it knows our value types.
    """

    framing: Framing
    bolide: bool = False

    def packet(self, message: ServerMessage) -> bytes:
        """Return what is written for a message.

        Raises:
            EJSONError: If a value cannot be sent.
        """
        return self.framing.packet(encode(message, bolide=self.bolide))
