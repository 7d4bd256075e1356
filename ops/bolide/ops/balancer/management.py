"""Ask the management socket of a balancer."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any, ClassVar, Final

from bolide.core.errors import BolideError

__all__ = ["BalancerAway", "BalancerRefused", "ask"]

_MARGIN_S: Final = 10.0
_MAX_ANSWER_BYTES: Final = 16_777_216


class BalancerAway(BolideError):
    """Nobody answers at the socket."""

    code: ClassVar[str] = "balancer-away"

    def __init__(self, place: Path, why: str) -> None:
        """Keep where and why.

        Args:
            place: Of the socket.
            why: What the system says.
        """
        super().__init__(place, why)
        self.place = place
        self.why = why

    def __str__(self) -> str:
        """Say what to do."""
        return (
            f"No balancer answers at {self.place} ({self.why}). Ask on its machine, as its user,"
            " and give its settings with --config or its socket with --socket, which of `bolide up`"
            " is .bolide/management.sock."
        )


class BalancerRefused(BolideError):
    """The balancer does not do what it was asked."""

    code: ClassVar[str] = "balancer-refused"

    def __init__(self, text: str) -> None:
        """Keep what it said."""
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        """Repeat it."""
        return self.text


def ask(place: Path, path: str, wish: object = None, *, takes_s: float = 0.0) -> Any:
    """Return the answer of a balancer, as JSON.

    Args:
        place: Of its management socket.
        path: What is asked for.
        wish: Is posted; None: it is only asked.
        takes_s: How long the answer may take besides, seconds.

    Raises:
        BalancerAway: If nobody answers.
        BalancerRefused: If the answer is a refusal.
    """
    connection = _SocketConnection(place, takes_s + _MARGIN_S)
    try:
        if wish is None:
            connection.request("GET", path)
        else:
            body = json.dumps(wish).encode()
            connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read(_MAX_ANSWER_BYTES)
    except TimeoutError:
        raise BalancerAway(place, "it does not answer in time") from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise BalancerAway(place, why) from None
    finally:
        connection.close()
    if answer.status >= 400:
        raise BalancerRefused(text.decode("utf-8", "replace").strip() or f"Status {answer.status}")
    return json.loads(text)


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, place: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._place = place

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._place))
