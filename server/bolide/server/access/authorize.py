"""The decision as a port: who may do what."""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["AccessRequest", "Authorize", "deny"]


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What a handler asks for.

    Attributes:
        user_id: Who; None if nobody is logged in.
        permission: What, such as ``"ward:read"``.
        access_scope: Where, such as ``"ward/7"``; None for everywhere.
    """

    user_id: str | None
    permission: str
    access_scope: str | None = None


class Authorize(Protocol):
    """Decide a request; called on the event loop, must not block."""

    def __call__(self, request: AccessRequest, /) -> bool:
        """Return True to allow it; anything else denies it."""
        ...


def deny(request: AccessRequest, /) -> bool:
    """Deny everything, as long as an app has no accounts.

    Args:
        request: Not looked at.
    """
    del request
    return False
