"""What a client asks of a server: written down, and sent a few at a time.

Sans-I/O. Requests leave in the order they were made, at most so many unanswered at a time, because
a server cuts a client that sends faster than it handles.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from bolide.client.ddp.agreement import Agreement
from bolide.core.ddp.codec import serialize
from bolide.core.ddp.messages import Method, Result, Sub

__all__ = ["Call", "Frames", "Request", "RequestQueue", "SubscriptionRequest", "write_down"]


@dataclass(frozen=True, slots=True)
class Frames:
    """One message, written for every kind of server.

    Attributes:
        plain: For servers that do not know our extensions.
        bolide: For those that know our values.
        call: For those that run a call with an id at most once.
    """

    plain: str
    bolide: str
    call: str

    def for_server(self, agreement: Agreement) -> str:
        """Return the one that this server understands."""
        if not agreement.speaks_bolide:
            return self.plain
        return self.call if "call" in agreement.extensions else self.bolide


def write_down(message: Method | Sub) -> Frames:
    """Write a message at once, so that its arguments may change afterwards.

    Raises:
        EJSONError: If an argument is no value.
    """
    call = serialize(message, bolide=True)
    bolide = call
    if isinstance(message, Method) and message.call is not None:
        message = replace(message, call=None)
        bolide = serialize(message, bolide=True)
    plain = serialize(message, bolide=False)
    return Frames(bolide if plain == bolide else plain, bolide, call)


@dataclass(slots=True)
class Request:
    """A call or a subscription.

    Attributes:
        frames: The message.
        id: Under which it is in the queue.
        is_sent: It was sent over the present connection.
        was_sent: It was sent over a former one.
    """

    frames: Frames
    id: str = field(default="", kw_only=True)
    is_sent: bool = field(default=False, kw_only=True)
    was_sent: bool = field(default=False, kw_only=True)


@dataclass(slots=True)
class Call(Request):
    """A call without its outcome.

    Attributes:
        retry: It may be sent again if the connection is lost.
        result: What the server answered.
        is_updated: The data it wrote have been sent.
        is_forgotten: Nobody waits for its outcome.
        prepares: It is a part of the session's preparation: its result alone ends it.
    """

    retry: bool
    result: Result | None = None
    is_updated: bool = False
    is_forgotten: bool = False
    prepares: bool = False


@dataclass(slots=True)
class SubscriptionRequest(Request):
    """A subscription.

    Attributes:
        is_ready: The present session has sent its documents.
        was_ready: One session has.
    """

    is_ready: bool = False
    was_ready: bool = False


class RequestQueue:
    """Requests that wait to be sent, and the ids of those that wait for an answer."""

    __slots__ = ("_in_flight", "_limit", "_resent", "_waiting")

    def __init__(self, limit: int) -> None:
        """Begin empty.

        Args:
            limit: How many may be unanswered at a time.
        """
        self._limit = limit
        self._waiting: dict[str, Request] = {}
        self._in_flight: set[str] = set()
        self._resent: set[str] = set()

    @property
    def resent(self) -> frozenset[str]:
        """Ids of the requests that were sent before and wait to be sent again."""
        return frozenset(self._resent)

    def add(self, request_id: str, request: Request) -> None:
        """Put a request behind all others."""
        request.id = request_id
        self._waiting[request_id] = request

    def discard(self, request_id: str) -> None:
        """Take a request out that need not be sent any more."""
        self._waiting.pop(request_id, None)
        self._resent.discard(request_id)

    def next(self) -> Request | None:
        """Return the next request that may leave now, as sent; None if none may."""
        if not self._waiting or len(self._in_flight) >= self._limit:
            return None
        return self._take(next(iter(self._waiting)))

    def next_of_resync(self) -> Request | None:
        """Return the next request that must leave before a resync is asked for, as sent.

        These are all that are sent again, and the subscriptions that follow them, regardless of
        the limit: no subscription is answered before the resync is.
        """
        request_id, request = next(iter(self._waiting.items()), ("", None))
        if request_id in self._resent or isinstance(request, SubscriptionRequest):
            return self._take(request_id)
        return None

    def answered(self, request_id: str) -> None:
        """Note the server's answer: a result, a ready or a nosub."""
        self._in_flight.discard(request_id)

    def connection_lost(self, resent: Mapping[str, Request]) -> None:
        """Forget what is in flight, and put what must be sent again before everything else."""
        self._in_flight.clear()
        for request in resent.values():
            request.is_sent, request.was_sent = False, True
        self._waiting = {**resent, **self._waiting}
        # More of them than now: attempts that brought no session lose nothing.
        self._resent.update(resent)

    def _take(self, request_id: str) -> Request:
        request = self._waiting.pop(request_id)
        self._resent.discard(request_id)
        request.is_sent = True
        self._in_flight.add(request_id)
        return request
