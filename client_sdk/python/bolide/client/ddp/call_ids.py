"""Ids of calls: what stays the same when a call is sent again, over any session, to any node.

``docs/reference/ddp-extensions.md`` specifies them.
"""

import secrets
from typing import Final

from bolide.core.ddp.messages import CallId
from bolide.core.errors import ConfigurationError

__all__ = ["CallIds"]

_CLIENT_LENGTHS: Final = range(16, 65)
_CALL_LENGTHS: Final = range(1, 65)
_CLIENT_ENTROPY_BYTES: Final = 32
_RUN_ENTROPY_BYTES: Final = 12


class CallIds:
    """The ids of one client's calls."""

    __slots__ = ("_client", "_count", "_run")

    def __init__(self, client: str | None = None) -> None:
        """Draw what makes them unique.

        Args:
            client: A client id that was drawn before, 16 to 64 characters; None for a new one.

        Raises:
            ConfigurationError: If it is too short or too long; it is not repeated, since it is a
                secret.
        """
        if client is not None and len(client) not in _CLIENT_LENGTHS:
            raise ConfigurationError("client_id", "(hidden)", "16 to 64 characters drawn at random")
        self._client = client or secrets.token_urlsafe(_CLIENT_ENTROPY_BYTES)
        # A client id may be used in several processes, one after the other.
        self._run = secrets.token_urlsafe(_RUN_ENTROPY_BYTES)
        self._count = 0

    def identity(self, call: str | None = None) -> CallId:
        """Return the identity of one call.

        Args:
            call: An id that the program chose, 1 to 64 characters; None for a new one.

        Raises:
            ConfigurationError: If it is empty or too long.
        """
        if call is None:
            self._count += 1
            call = f"{self._run}.{self._count}"
        elif len(call) not in _CALL_LENGTHS:
            raise ConfigurationError("call_id", "(hidden)", "1 to 64 characters")
        return CallId(self._client, call)
