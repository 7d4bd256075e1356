"""A client that speaks plain HTTP: a page is told where to go, everything else is refused."""

from typing import TYPE_CHECKING

from bolide.balancer.heads.answers import redirect, refusal
from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.reading import cut
from bolide.balancer.heads.request import parse_request
from bolide.balancer.relay.alarm import Alarm
from bolide.balancer.relay.link import VIEW, Link

if TYPE_CHECKING:
    from bolide.balancer.relay.relay import Relay

__all__ = ["RedirectConnection"]


class RedirectConnection:
    """One request, one answer.

    Args:
        relay: What all connections of a worker share.
        link: To the client; reading begins here.
        address: The client's IP address.
    """

    __slots__ = ("_address", "_alarm", "_head", "_link", "_relay")

    def __init__(self, relay: "Relay", link: Link, address: str) -> None:
        """Wait for a request."""
        self._relay = relay
        self._link = link
        self._address = address
        self._head = b""
        self._alarm = Alarm(relay.loop, self._too_late)
        self._alarm.set(relay.limits.head_timeout_s)
        link.on_readable = self._read
        link.on_closed = self._over
        link.is_reading = True

    def abort(self) -> None:
        """End at once."""
        self._link.abort()

    def retire(self) -> None:
        """End; one answer is soon given."""
        self._link.end()

    def _read(self) -> None:
        count = self._link.receive()
        if not count:
            if count == 0:
                self._link.end()
            return
        self._head += VIEW[:count]
        limits = self._relay.limits
        try:
            end = cut(self._head, limits.max_head_bytes)
            if not end:
                return
            request = parse_request(self._head[:end], max_fields=limits.max_fields, cookie_name=b"")
            answer = redirect(request, self._relay.https_port)
        except HeadError as error:
            self._relay.count(f'refusals_total{{why="{error.name}"}}')
            answer = refusal(error.status, self._relay.retry_after_s, b"")
        self._link.is_reading = False
        self._link.send(answer)
        self._link.end()

    def _too_late(self) -> None:
        self._link.abort()

    def _over(self) -> None:
        self._alarm.release()
        self._relay.client_left(self, self._address)
