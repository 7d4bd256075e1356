"""A request and its response, between the connection of a client and that of a node.

Theory of operation. The request's head leaves at once, its body as it comes; the response may begin
before the body is complete. Whoever asked is told once for each request: when its response is
complete, when that made the connection a tunnel, or when one side failed. A response that ends
before its request does leaves neither connection in a state in which another request could be told
apart. What a client sends after its request stays in its socket, whose watching ends only when
something comes: that is rare, and telling the kernel each time costs more than all else.
"""

from collections.abc import Callable
from select import EPOLLIN
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from bolide.balancer.heads.body import Body
from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.reading import cut
from bolide.balancer.heads.request import RequestHead
from bolide.balancer.heads.response import ResponseHead, parse_response
from bolide.balancer.relay.link import BUFFER, VIEW, Link
from bolide.balancer.relay.shortcut import MAX_HEAD_BYTES, Shortcut

__all__ = ["Asker", "Exchange", "Failure"]

Failure: TypeAlias = Literal["bad request", "bad response", "client left", "node left"]

_MAX_INTERIM: Final = 20
"""How many 1xx responses a node may send before the one that counts."""


class Asker(Protocol):
    """Who is told how an exchange ended; one of these is called for each request."""

    def answered(
        self, answer: ResponseHead, *, keeps_front: bool, keeps_back: bool, says_more: bool
    ) -> None:
        """Learn that a response was passed on.

        Args:
            answer: Its head.
            keeps_front: The client may ask again on its connection.
            keeps_back: The node may be asked again on its connection.
            says_more: The node sent more than its response, which was dropped.
        """
        ...

    def answered_again(self, shortcut: Shortcut) -> None:
        """Learn that the answer of a shortcut was passed on; both connections stay."""
        ...

    def switched(self, answer: ResponseHead, early: bytes) -> None:
        """Learn that both connections are a tunnel from now on.

        Args:
            answer: The head that said so, which was passed on.
            early: What was read of the node after it.
        """
        ...

    def failed(self, failure: Failure, detail: str, answer: ResponseHead | None) -> None:
        """Learn that one side failed.

        Args:
            failure: Which, and how.
            detail: Name of what was wrong.
            answer: Head of the response, if it was passed on.
        """
        ...


class _Known(msgspec.Struct, frozen=True, gc=False):
    """A response that was passed on in one piece, and what it depended on besides its head."""

    head: bytes
    answer: ResponseHead
    written: bytes
    method: bytes
    minor: int
    keeps_alive: bool
    extra: bytes

    def is_answer_to(self, request: RequestHead, extra: bytes) -> bool:
        """Tell whether the same head would be understood, and written, in the same way."""
        return (
            request.method == self.method
            and request.minor == self.minor
            and request.keeps_alive == self.keeps_alive
            and request.websocket_key is None
            and extra == self.extra
        )


class Exchange:
    """Requests and responses between a client's connection and a node's, one after the other.

    Whoever asks looks at the client's connection: what comes from there goes to :meth:`read_front`,
    and :meth:`front_drained` and :meth:`front_closed` are for its events.

    Args:
        front: To the client.
        back: To the node.
        max_head_bytes: Of a response.
        max_fields: Of it, and of trailers.
        asker: Learns how each ended.
        on_idle: Called when the node says something, or ends, while nothing is asked.

    Attributes:
        is_asked: The request is complete, so the node should answer.
        answer: Head of the response, once it was passed on.
        rest: What was read of the client beyond its request.
        whole_head: Head of the response as it came, if its body came in the same piece.
    """

    __slots__ = (
        "_answer_body", "_asker", "_back", "_body", "_extra", "_front", "_head", "_interim_count",
        "_is_running", "_known", "_max_fields", "_max_head_bytes", "_on_idle", "_request", "_seen",
        "_shortcut", "answer", "is_asked", "rest", "whole_head",
    )  # fmt: skip

    def __init__(
        self,
        front: Link,
        back: Link,
        *,
        max_head_bytes: int,
        max_fields: int,
        asker: Asker,
        on_idle: Callable[[], None],
    ) -> None:
        """Wait for :meth:`ask`."""
        self._front = front
        self._back = back
        self._max_head_bytes = max_head_bytes
        self._max_fields = max_fields
        self._asker = asker
        self._on_idle = on_idle
        self._is_running = False
        self._body: Body | None = None
        self._answer_body: Body | None = None
        self._extra = b""
        self._head = b""
        self._interim_count = 0
        self._seen = (0, 0, 0, 0)
        # Whose answer is awaited; None if any is.
        self._shortcut: Shortcut | None = None
        self._known: _Known | None = None
        self.whole_head = b""
        self.rest = b""
        self.answer: ResponseHead | None = None
        self.is_asked = False
        back.on_readable = self._read_back
        back.on_drained = self._read_on
        back.on_closed = self._back_closed
        back.is_reading = True
        back.handle(self._on_events)

    def ask(self, request: RequestHead, early: bytes, *, forwarding: bytes, extra: bytes) -> None:
        """Send a request, and pass on what is answered.

        Args:
            request: Its head, which the client has sent.
            early: What was read of its body.
            forwarding: Fields that the node gets besides.
            extra: Fields that the client gets besides.
        """
        self._is_running = True
        self._shortcut = None
        self._request = request
        self._extra = extra
        self.answer = None
        self.whole_head = b""
        head = request.serialize(forwarding)
        if not request.length:
            self.is_asked = True
            self._back.send(head)
            return
        self.is_asked = False
        self._body = Body(request.length, max_fields=self._max_fields)
        self._back.send(head)
        if early and self._is_running:
            self._take_body(early)
        self._read_on()

    def ask_again(self, shortcut: Shortcut) -> None:
        """Send the request that was sent before, and pass on what is answered.

        Args:
            shortcut: Made of the last request and its answer.
        """
        self._is_running = True
        self._shortcut = shortcut
        self.answer = None
        self._back.send(shortcut.for_node)

    def is_stuck(self) -> bool:
        """Tell whether nothing moved since this was asked before."""
        front, back = self._front, self._back
        waiting = len(front.pending or b""), len(back.pending or b"")
        seen, self._seen = self._seen, (front.received, back.received, *waiting)
        return seen == self._seen

    # The client's connection

    def read_front(self) -> None:
        """Read a part of the request's body; what comes after it waits in its socket."""
        if self._body is None:
            self._front.is_reading = False
            return
        count = self._front.receive()
        if count is None:
            return
        if not count:
            self._fail("client left", "half-a-body")
            return
        self._take_body(bytes(VIEW[:count]))
        if self._is_running and self._back.pending is not None:
            self._front.is_reading = False

    def front_drained(self) -> None:
        """Read more of the response."""
        self._back.is_reading = True

    def front_closed(self) -> None:
        """Learn that the client cut its connection."""
        self._fail("client left", "cut")

    def _read_on(self) -> None:
        """Read more of the request's body if there is more, and room for it."""
        if self._body is not None:
            self._front.is_reading = self._back.pending is None

    def _take_body(self, data: bytes) -> None:
        body = self._body
        assert body is not None
        try:
            out, self.rest = body.receive(data)
        except HeadError as error:
            self._fail("bad request", error.name)
            return
        if out:
            self._back.send(out)
        if body.is_complete:
            self._body = None
            self.is_asked = True

    # The node's connection

    def _on_events(self, events: int) -> None:
        """Look whether the answer comes that came before: then all that it costs is in here."""
        back, shortcut = self._back, self._shortcut
        if shortcut is None or events != EPOLLIN or not self._is_running:
            back.on_events(events)
            return
        count = back.receive()
        if count == shortcut.answered_bytes and BUFFER.startswith(shortcut.answered):
            self._front.send(shortcut.for_client + BUFFER[shortcut.head_bytes : count])
            if self._is_running:  # else the client is gone, and was told of
                self._is_running = False
                self._asker.answered_again(shortcut)
        elif count is not None:
            self._shortcut = None
            self._take_back(count)

    def _read_back(self) -> None:
        if not self._is_running:
            self._on_idle()
            return
        count = self._back.receive()
        if count is not None:
            self._take_back(count)

    def _take_back(self, count: int) -> None:
        """Take what was read of the node."""
        if not count:
            self._back_ended()
            return
        data = bytes(VIEW[:count])
        if self._answer_body is not None:
            self._take_answer_body(data, b"")
        else:
            self._take_answer_head(self._head + data if self._head else data)
        if self._is_running and self._front.pending is not None:
            self._back.is_reading = False

    def _take_answer_head(self, data: bytes) -> None:
        request, known = self._request, self._known
        if (
            known is not None
            and data.startswith(known.head)
            and len(data) - len(known.head) == known.answer.length
            and known.is_answer_to(request, self._extra)
        ):
            self._head = b""
            self.answer = answer = known.answer
            self.whole_head = known.head
            self._front.send(known.written + data[len(known.head) :])
            self._answer_is_complete(answer)
            return
        while True:
            try:
                end = cut(data, self._max_head_bytes)
                if not end:
                    self._head = data
                    return
                answer = parse_response(data[:end], request, max_fields=self._max_fields)
            except HeadError as error:
                self._fail("bad response", error.name)
                return
            self._head = b""
            read, data = data, data[end:]
            if not answer.is_interim:
                break
            self._interim_count += 1
            if self._interim_count > _MAX_INTERIM:
                self._fail("bad response", "too-many-interim-responses")
                return
            if request.minor:  # HTTP/1.0 knows none
                self._front.send(answer.serialize(b""))
        self.answer = answer
        head = answer.serialize(self._extra)
        if answer.is_tunnel:
            self._front.send(head)
            if self._stop():
                self._asker.switched(answer, data)
        elif answer.length == len(data):  # most often, and it is complete
            if end <= MAX_HEAD_BYTES:
                self._know(read[:end], answer, head)
            self._front.send(head + data)
            self._answer_is_complete(answer)
        elif answer.length:
            self._answer_body = Body(
                answer.length, max_fields=self._max_fields, strips=answer.strips_chunks
            )
            self._take_answer_body(data, head)
        else:
            self._front.send(head)
            self._answer_is_complete(answer, says_more=True)

    def _know(self, head: bytes, answer: ResponseHead, written: bytes) -> None:
        """Remember a response that came in one piece."""
        request = self._request
        self.whole_head = head
        if request.websocket_key is None:
            self._known = _Known(
                head,
                answer,
                written,
                request.method,
                request.minor,
                request.keeps_alive,
                self._extra,
            )

    def _take_answer_body(self, data: bytes, head: bytes) -> None:
        """Pass on a part of the body, in one piece with the head if that is still here."""
        body = self._answer_body
        assert body is not None
        try:
            out, rest = body.receive(data)
        except HeadError as error:
            self._fail("bad response", error.name)
            return
        self._front.send(head + out if head else out)
        if body.is_complete:
            assert self.answer is not None
            self._answer_is_complete(self.answer, says_more=bool(rest))

    def _back_ended(self) -> None:
        body, answer = self._answer_body, self.answer
        if answer is not None and body is not None and body.ends_with_connection:
            self._answer_is_complete(answer)
        else:
            self._fail("node left", "half-a-response" if answer else "no-response")

    def _back_closed(self) -> None:
        if self._is_running:
            self._fail("node left", "cut")
        else:
            self._on_idle()

    # The end

    def _answer_is_complete(self, answer: ResponseHead, *, says_more: bool = False) -> None:
        """Say so. After a node that says more nobody knows what an answer would be to."""
        may_go_on = self.is_asked and not says_more
        if self._stop():
            self._asker.answered(
                answer,
                keeps_front=may_go_on and answer.keeps_client and self._request.keeps_alive,
                keeps_back=may_go_on and answer.keeps_alive,
                says_more=says_more,
            )

    def _fail(self, failure: Failure, detail: str) -> None:
        if self._stop():
            self._asker.failed(failure, detail, self.answer)

    def _stop(self) -> bool:
        """Let the request be over; returns False if it is already."""
        was_running, self._is_running = self._is_running, False
        self._body = self._answer_body = None
        self._interim_count = 0
        return was_running
