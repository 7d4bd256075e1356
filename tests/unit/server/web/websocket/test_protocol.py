"""The WebSocket class over a transport that the test holds in its hands."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from tests.unit.server.web.websocket.test_frames import CLOSE, PING, PONG, frame
from tests.unit.server.web.websocket.test_handshake import ACCEPT, HEADERS, head
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState

from bolide.core.errors import LocalProtocolError
from bolide.server.web.websocket import protocol
from bolide.server.web.websocket.frames import binary_frame, close_frame, pong_frame, text_frame
from bolide.server.web.websocket.protocol import (
    MESSAGES_PER_TURN,
    QUEUE_HIGH_WATER_BYTES,
    WRITE_HIGH_WATER_BYTES,
    BolideWebSocket,
)
from bolide.server.web.websocket.push import EXTENSION, PushReceiver, PushSocket

TEXT, BINARY = 1, 2
TURNS = 20


class Wire(asyncio.Transport):
    """A transport that keeps what is written; ``half_close`` as TCP has it, TLS has not."""

    def __init__(self, half_close: bool = True) -> None:
        super().__init__()
        self.peer: object = ("127.0.0.2", 4000)
        self.sent = bytearray()
        self.was_sent = asyncio.Event()
        self.waiting = 0
        self.reading = True
        self.eof = self.closing = self.aborted = False
        self.high: int | None = None
        self._half_close = half_close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("127.0.0.1", 80), "peername": self.peer}.get(name, default)

    def write(self, data: Any) -> None:
        assert not self.eof
        self.sent += data
        self.was_sent.set()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def can_write_eof(self) -> bool:
        return self._half_close

    def write_eof(self) -> None:
        self.eof = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def take(self) -> bytes:
        """Return what was sent since the last time."""
        sent = bytes(self.sent)
        self.sent.clear()
        self.was_sent.clear()
        return sent


App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Peer:
    """One connection with the test on both ends: it is the client, and the application."""

    def __init__(self, app: App | None = None, *, wire: Wire | None = None, **options: Any) -> None:
        self.wire = wire or Wire()
        self.state = ServerState()
        options = {
            "ws_ping_interval": None,
            "interface": "asgi3",
            "proxy_headers": False,
            **options,
        }
        config = uvicorn.Config(app or self._app, log_config=None, **options)
        self.protocol = BolideWebSocket(config, self.state, {"shared": 1})
        self.scope: Scope
        self.receive: Receive
        self.send: Send
        self._begun = asyncio.Event()
        self._over = asyncio.Event()
        self.protocol.connection_made(self.wire)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self._begun.set()
        await self._over.wait()

    def says(self, *frames: bytes) -> None:
        self.protocol.data_received(b"".join(frames))

    async def asks(self, *lines: bytes) -> None:
        """Send the head of a handshake and let the application begin."""
        self.says(head(*lines), b"\r\n\r\n")
        await turns()

    async def opens(self) -> None:
        """Go through the handshake."""
        await self.asks()
        assert await self.receive() == {"type": "websocket.connect"}
        await self.send({"type": "websocket.accept"})
        assert self.wire.take().startswith(b"HTTP/1.1 101 ")

    async def gets(self) -> Message:
        async with asyncio.timeout(5):
            return await self.receive()

    async def leaves(self) -> None:
        """Return from the application."""
        self._over.set()
        await turns()

    def is_lost(self) -> None:
        self.protocol.connection_lost(None)

    @property
    def push(self) -> PushSocket:
        push: PushSocket = self.scope["extensions"][EXTENSION]
        return push


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


@pytest_asyncio.fixture
async def peer() -> AsyncGenerator[Peer]:
    peer = Peer()
    yield peer
    await finish(peer)


async def finish(peer: Peer) -> None:
    """See that nothing is left of a connection."""
    if peer.state.connections:
        peer.is_lost()
    await peer.leaves()
    assert not peer.state.connections
    assert not peer.state.tasks


class Recorder:
    """A receiver that remembers; ``on_message`` lets it act."""

    def __init__(self, on_message: Callable[[str], object] = lambda _: None) -> None:
        self.events: list[object] = []
        self._on_message = on_message

    def message_received(self, text: str) -> None:
        self.events.append(text)
        self._on_message(text)

    def binary_received(self) -> None:
        self.events.append(b"")

    def writing_paused(self) -> None:
        self.events.append("paused")

    def writing_resumed(self) -> None:
        self.events.append("resumed")

    def connection_lost(self, clean: bool) -> None:
        self.events.append(("lost", clean))


def text(*words: str) -> bytes:
    return b"".join(frame(TEXT, word.encode()) for word in words)


def closing(code: int) -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big"))


# The handshake.


async def test_application_learns_all_that_a_scope_holds(peer: Peer) -> None:
    await peer.asks(b"sec-websocket-protocol: a, b")
    extensions = peer.scope.pop("extensions")
    assert extensions == {"websocket.http.response": {}, EXTENSION: peer.protocol}
    headers = peer.scope.pop("headers")
    assert (b"host", b"ward.example.org") in headers
    assert len(headers) == len(HEADERS) + 1
    assert peer.scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.2", 4000),
        "root_path": "",
        "path": "/websocket",
        "raw_path": b"/websocket",
        "query_string": b"a=1",
        "subprotocols": ["a", "b"],
        "state": {"shared": 1},
    }
    assert peer.wire.high == WRITE_HIGH_WATER_BYTES


async def test_paths_are_decoded_and_below_the_root_path() -> None:
    peer = Peer(root_path="/bolide")
    peer.says(head(request=b"GET /a%20b/%C3%A9 HTTP/1.1"), b"\r\n\r\n")
    await turns()
    assert peer.scope["path"] == "/bolide/a b/é"
    assert peer.scope["raw_path"] == b"/bolide/a%20b/%C3%A9"
    await finish(peer)


async def test_acceptance_carries_headers_and_subprotocol(peer: Peer) -> None:
    await peer.asks()
    peer.state.default_headers = [(b"date", b"today")]
    accept = {"type": "websocket.accept", "subprotocol": "a", "headers": [(b"x", b"y")]}
    await peer.send(accept)
    assert peer.wire.take() == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: "
        + ACCEPT
        + b"\r\ndate: today\r\nx: y\r\nsec-websocket-protocol: a\r\n\r\n"
    )


async def test_header_that_breaks_the_answer_fails_in_the_application(peer: Peer) -> None:
    await peer.asks()
    with pytest.raises(LocalProtocolError):
        await peer.send({"type": "websocket.accept", "headers": [(b"x", b"a\nb")]})
    assert peer.wire.take() == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (head(sec_websocket_version="7") + b"\r\n\r\n", b"426"),
        (head(upgrade="h2c") + b"\r\n\r\n", b"400"),
        (head(), b"400"),
    ],
)
async def test_bad_handshake_is_answered_and_starts_nothing(sent: bytes, status: bytes) -> None:
    peer = Peer()
    peer.says(sent)
    answer = peer.wire.take()
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"content-type: text/plain" in answer
    assert peer.wire.eof
    assert not peer.state.tasks
    peer.says(text("never read"))
    await finish(peer)


async def test_denial_is_a_403(peer: Peer) -> None:
    await peer.asks()
    await peer.send({"type": "websocket.close"})
    assert peer.wire.take().startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert peer.wire.eof
    with pytest.raises(RuntimeError, match=r"no place after websocket\.close"):
        await peer.send({"type": "websocket.accept"})
    assert await peer.receive() == {"type": "websocket.connect"}
    assert (await peer.gets())["code"] == 1006


async def test_denial_can_be_any_response(peer: Peer) -> None:
    await peer.asks()
    start = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x", b"y")]}
    await peer.send(start)
    with pytest.raises(RuntimeError, match="no place in an HTTP response"):
        await peer.send({"type": "websocket.accept"})
    await peer.send({"type": "websocket.http.response.body", "body": b"lo", "more_body": True})
    assert peer.wire.take() == b""
    await peer.send({"type": "websocket.http.response.body", "body": b"gin"})
    assert peer.wire.take() == (
        b"HTTP/1.1 401 Unauthorized\r\nx: y\r\ncontent-length: 5\r\nconnection: close\r\n\r\nlogin"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "websocket.http.response.start", "status": 101},
        {"type": "websocket.http.response.start", "status": 403, "headers": [(b"a b", b"")]},
    ],
)
async def test_response_that_may_not_be_sent_fails_in_the_application(
    peer: Peer, wrong: Message
) -> None:
    await peer.asks()
    with pytest.raises(LocalProtocolError):
        await peer.send(wrong)
    await peer.send({"type": "websocket.accept"})


@pytest.mark.parametrize("kind", ["websocket.send", "websocket.http.response.body"])
async def test_event_before_acceptance_has_no_place(peer: Peer, kind: str) -> None:
    await peer.asks()
    with pytest.raises(RuntimeError, match=r"no place before websocket\.accept"):
        await peer.send({"type": kind, "text": "early"})


async def test_peer_that_speaks_before_it_is_accepted_is_paused(peer: Peer) -> None:
    peer.says(head(), b"\r\n\r\n", text("early"))
    await turns()
    size = QUEUE_HIGH_WATER_BYTES
    peer.says(frame(BINARY, b"x" * size))
    assert not peer.wire.reading
    await peer.receive()
    await peer.send({"type": "websocket.accept"})
    assert await peer.gets() == {"type": "websocket.receive", "text": "early"}
    assert await peer.gets() == {"type": "websocket.receive", "bytes": b"x" * size}
    assert peer.wire.reading


async def test_accepted_after_the_peer_left_tells_the_application(peer: Peer) -> None:
    await peer.asks()
    peer.is_lost()
    with pytest.raises(ClientDisconnected):
        await peer.send({"type": "websocket.accept"})


async def test_log_names_the_path_without_its_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "uvicorn.error")
    peer = Peer()
    await peer.opens()
    assert '127.0.0.2:4000 - "WebSocket /websocket" [accepted]' in caplog.messages
    await finish(peer)
    denied = Peer(wire=Wire())
    denied.wire.peer = None
    await denied.asks()
    await denied.send({"type": "websocket.close"})
    assert ' - "WebSocket /websocket" 403' in caplog.messages
    await finish(denied)


# ASGI.


async def test_messages_go_both_ways(peer: Peer) -> None:
    await peer.opens()
    peer.says(text("one"), frame(BINARY, b"two"))
    assert await peer.gets() == {"type": "websocket.receive", "text": "one"}
    assert await peer.gets() == {"type": "websocket.receive", "bytes": b"two"}
    await peer.send({"type": "websocket.send", "text": "drei"})
    await peer.send({"type": "websocket.send", "bytes": b"vier", "text": None})
    assert peer.wire.take() == text_frame(b"drei") + binary_frame(b"vier")


async def test_receive_waits_and_may_be_cancelled(peer: Peer) -> None:
    await peer.opens()
    waiting = asyncio.create_task(peer.gets())
    await turns()
    waiting.cancel()
    await turns()
    again = asyncio.create_task(peer.gets())
    await turns()
    peer.says(text("one"))
    assert (await again)["text"] == "one"


async def test_unknown_event_has_no_place(peer: Peer) -> None:
    await peer.opens()
    with pytest.raises(RuntimeError, match=r"no place after websocket\.accept"):
        await peer.send({"type": "websocket.accept"})


async def test_application_closes_and_the_peer_answers(peer: Peer) -> None:
    await peer.opens()
    peer.says(text("before"))
    await peer.send({"type": "websocket.close", "code": 4000, "reason": "done"})
    assert peer.wire.take() == close_frame(4000, "done")
    with pytest.raises(RuntimeError, match=r"no place after websocket\.close"):
        await peer.send({"type": "websocket.send", "text": "late"})
    peer.says(text("ignored"), frame(PING, b"ignored"))
    assert not peer.wire.closing
    peer.says(closing(4000), b"\xff\xff ignored")
    assert peer.wire.closing
    assert peer.wire.take() == b""
    assert (await peer.gets())["text"] == "before"
    end = {"type": "websocket.disconnect", "code": 4000, "reason": "done"}
    assert [await peer.gets(), await peer.gets()] == [end, end]


async def test_code_that_may_not_be_sent_fails_in_the_application(peer: Peer) -> None:
    await peer.opens()
    with pytest.raises(LocalProtocolError):
        await peer.send({"type": "websocket.close", "code": 1005 + 1})
    await peer.send({"type": "websocket.send", "text": "still open"})


async def test_peer_that_does_not_answer_a_close_is_cut(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = asyncio.Event()
    monkeypatch.setattr(protocol, "CLOSE_TIMEOUT_S", 0)
    monkeypatch.setattr(peer.wire, "abort", cut.set)
    await peer.opens()
    await peer.send({"type": "websocket.close"})
    async with asyncio.timeout(5):
        await cut.wait()


async def test_peer_closes_and_is_answered(peer: Peer) -> None:
    await peer.opens()
    peer.says(text("last"), closing(3001), text("after"))
    assert peer.wire.take() == close_frame(3001)
    assert peer.wire.closing
    with pytest.raises(ClientDisconnected):
        await peer.send({"type": "websocket.send", "text": "late"})
    assert (await peer.gets())["text"] == "last"
    assert await peer.gets() == {"type": "websocket.disconnect", "code": 3001, "reason": ""}


async def test_peer_that_vanishes_is_1006_after_what_it_said(peer: Peer) -> None:
    await peer.opens()
    waiting = asyncio.create_task(peer.gets())
    await turns()
    peer.protocol.eof_received()
    peer.is_lost()
    assert (await waiting)["code"] == 1006
    with pytest.raises(ClientDisconnected):
        await peer.send({"type": "websocket.close"})


async def test_violation_is_answered_and_the_rest_is_thrown_away(peer: Peer) -> None:
    await peer.opens()
    peer.says(text("good"), frame(TEXT, b"\xff"), text("after"))
    assert peer.wire.take() == close_frame(1007, "Text that is not UTF-8")
    assert peer.wire.eof
    assert not peer.wire.closing  # or the peer might never read why
    peer.says(b"anything")
    assert (await peer.gets())["text"] == "good"
    assert (await peer.gets())["code"] == 1007


async def test_violation_over_tls_closes_at_once() -> None:
    peer = Peer(wire=Wire(half_close=False))
    await peer.opens()
    peer.says(frame(TEXT, b"x", masked=False))
    assert peer.wire.take() == close_frame(1002, "Frame not masked")
    assert peer.wire.closing
    await finish(peer)


async def test_violation_after_our_close_says_nothing_more(peer: Peer) -> None:
    await peer.opens()
    await peer.send({"type": "websocket.close"})
    peer.wire.take()
    peer.says(frame(3))
    assert peer.wire.take() == b""
    assert peer.wire.eof


async def test_peer_that_closes_a_dying_transport_is_heard(peer: Peer) -> None:
    await peer.opens()
    peer.wire.closing = True
    peer.says(closing(1000))
    assert not peer.wire.eof
    assert (await peer.gets())["code"] == 1000


async def test_message_over_ws_max_size_closes_with_1009() -> None:
    peer = Peer(ws_max_size=10)
    await peer.opens()
    peer.says(text("x" * 11))
    assert peer.wire.take() == close_frame(1009, "Message over 10 bytes")
    await finish(peer)


# Flow control.


@pytest.mark.parametrize(("message", "accepted"), [("x", 3), ("x" * QUEUE_HIGH_WATER_BYTES, 2)])
async def test_reading_pauses_while_the_queue_is_full(message: str, accepted: int) -> None:
    peer = Peer(ws_max_queue=3)
    await peer.opens()
    peer.says(text(message) * (accepted - 1))
    assert peer.wire.reading
    peer.says(text(message), frame(PING, b"unread"))
    assert not peer.wire.reading
    assert peer.wire.take() == b""
    for _ in range(accepted):
        assert (await peer.gets())["text"] == message
        assert peer.wire.reading
    assert peer.wire.take() == pong_frame(b"unread")
    await finish(peer)


async def test_what_came_before_the_end_is_delivered_after_it() -> None:
    peer = Peer(ws_max_queue=1)
    await peer.opens()
    peer.says(text("one", "two"), frame(PING, b"x"), closing(1001))
    peer.is_lost()
    assert [(await peer.gets())["text"], (await peer.gets())["text"]] == ["one", "two"]
    assert (await peer.gets())["code"] == 1001
    cut = Peer(ws_max_queue=1)
    await cut.opens()
    cut.says(text("one"), frame(3))
    cut.is_lost()
    assert (await cut.gets())["text"] == "one"
    assert (await cut.gets())["code"] == 1002
    silent = Peer(ws_max_queue=1)
    await silent.opens()
    silent.says(text("one", "two", "three"))
    silent.is_lost()
    assert [(await silent.gets()).get("text") for _ in range(4)] == ["one", "two", "three", None]
    for one in (peer, cut, silent):
        await finish(one)


async def test_application_that_closes_with_a_full_queue_reads_on_for_the_answer() -> None:
    peer = Peer(ws_max_queue=1)
    await peer.opens()
    peer.says(text("one", "two"), closing(1000))
    assert not peer.wire.reading
    await peer.send({"type": "websocket.close"})
    await turns()
    assert peer.wire.closing
    assert (await peer.gets())["text"] == "one"
    assert (await peer.gets())["code"] == 1000
    await finish(peer)


async def test_violation_while_paused_lets_the_rest_run_dry() -> None:
    peer = Peer(ws_max_queue=1)
    await peer.opens()
    peer.says(text("one"), frame(3))
    assert not peer.wire.reading
    await peer.gets()
    assert peer.wire.reading
    assert peer.wire.eof
    await finish(peer)


async def test_send_waits_above_the_high_water_mark(peer: Peer) -> None:
    await peer.opens()
    peer.protocol.pause_writing()
    sends = [
        asyncio.create_task(_send(peer, {"type": "websocket.send", "text": word})) for word in "ab"
    ]
    await turns()
    assert peer.wire.take() == b""
    peer.protocol.resume_writing()
    await asyncio.gather(*sends)
    assert peer.wire.take() == text_frame(b"a") + text_frame(b"b")


async def _send(peer: Peer, message: Message) -> None:
    await peer.send(message)


async def test_send_that_waits_fails_when_the_peer_is_lost(peer: Peer) -> None:
    await peer.opens()
    peer.protocol.pause_writing()
    cancelled = asyncio.create_task(_send(peer, {"type": "websocket.send", "text": "a"}))
    sending = asyncio.create_task(_send(peer, {"type": "websocket.send", "text": "b"}))
    await turns()
    cancelled.cancel()
    await turns()
    assert not sending.done()
    peer.is_lost()
    with pytest.raises(ClientDisconnected):
        await sending


async def test_pings_that_nobody_reads_the_answers_of_do_not_pile_up(peer: Peer) -> None:
    await peer.opens()
    peer.says(frame(PING, b"1"), frame(PING, b"2"))
    assert peer.wire.take() == pong_frame(b"1") + pong_frame(b"2")
    peer.says(frame(PONG, b"unasked"))
    peer.protocol.pause_writing()
    peer.says(*(frame(PING, b"%d" % number) for number in range(50)))
    assert peer.wire.take() == b""
    peer.protocol.resume_writing()
    assert peer.wire.take() == pong_frame(b"49")


async def test_one_socket_does_not_hold_the_loop(peer: Peer) -> None:
    await peer.opens()
    recorder = Recorder()
    peer.push.start(recorder)
    words = [str(number) for number in range(MESSAGES_PER_TURN * 2 + 1)]
    peer.says(text(*words))
    assert recorder.events == words[:MESSAGES_PER_TURN]
    assert not peer.wire.reading
    await asyncio.sleep(0)
    assert recorder.events == words[: MESSAGES_PER_TURN * 2]
    await asyncio.sleep(0)
    assert recorder.events == words
    assert peer.wire.reading


async def test_rest_of_a_turn_is_forgotten_with_its_connection(peer: Peer) -> None:
    await peer.opens()
    recorder = Recorder()
    peer.push.start(recorder)
    peer.says(text("x") * (MESSAGES_PER_TURN + 1))
    peer.is_lost()
    await turns()
    assert recorder.events[MESSAGES_PER_TURN:] == [("lost", False)]


# Push.


async def test_the_class_is_a_push_socket_and_the_recorder_a_receiver(peer: Peer) -> None:
    def take(socket: PushSocket, receiver: PushReceiver) -> None:
        """For the type checker."""

    # Pyright takes the slot `write` for a method; mypy knows better.
    take(peer.protocol, Recorder())  # pyright: ignore[reportArgumentType]


async def test_push_delivers_what_waited_first_and_then_all(peer: Peer) -> None:
    await peer.opens()
    peer.says(text("one"), frame(BINARY, b"\0"), text("three"))
    recorder = Recorder()
    peer.push.start(recorder)
    assert recorder.events == ["one", b"", "three"]
    peer.says(text("four")[:3])
    peer.says(text("four")[3:], frame(BINARY, b"\0"))
    assert recorder.events[3:] == ["four", b""]
    with pytest.raises(LocalProtocolError):
        peer.push.start(recorder)


async def test_push_begins_after_acceptance(peer: Peer) -> None:
    await peer.asks()
    with pytest.raises(LocalProtocolError):
        peer.push.start(Recorder())
    peer.push.write(b"goes nowhere")
    peer.push.close()
    assert peer.wire.take() == b""


async def test_push_takes_over_more_than_a_queue_in_order() -> None:
    peer = Peer(ws_max_queue=1)
    await peer.opens()
    peer.says(text("one", "two", "three"))
    recorder = Recorder()
    peer.push.start(recorder)
    assert recorder.events == ["one", "two", "three"]
    assert peer.wire.reading
    await finish(peer)


async def test_push_of_a_lost_connection_hears_so() -> None:
    peer = Peer(ws_max_queue=1)
    await peer.opens()
    count = MESSAGES_PER_TURN + 2
    peer.says(text("one") * count, closing(1000))
    peer.is_lost()
    recorder = Recorder()
    peer.push.start(recorder)
    assert recorder.events == ["one"] * count + [("lost", True)]
    assert (await peer.gets())["code"] == 1000
    await finish(peer)


async def test_push_writes_straight_to_the_transport(peer: Peer) -> None:
    await peer.opens()
    assert peer.push.write == peer.wire.write
    peer.push.write(text_frame(b"a") + text_frame(b"b"))
    assert peer.wire.take() == text_frame(b"a") + text_frame(b"b")
    peer.wire.waiting = 7
    assert peer.push.buffered == 7


async def test_push_hears_of_back_pressure(peer: Peer) -> None:
    await peer.opens()
    peer.protocol.pause_writing()
    recorder = Recorder()
    peer.push.start(recorder)
    peer.protocol.resume_writing()
    peer.protocol.pause_writing()
    assert recorder.events == ["paused", "resumed", "paused"]


async def test_push_closes_once_and_ends_when_the_peer_answers(peer: Peer) -> None:
    await peer.opens()
    recorder = Recorder()
    peer.push.start(recorder)
    receiving = asyncio.create_task(peer.gets())
    peer.push.close(4001, "enough")
    peer.push.close(4002)
    peer.push.write(text_frame(b"late"))
    peer.says(text("late"))
    assert peer.wire.take() == close_frame(4001, "enough")
    peer.says(closing(4001))
    await turns()
    assert peer.wire.closing
    assert recorder.events == []
    assert not receiving.done()
    peer.is_lost()
    assert recorder.events == [("lost", True)]
    assert (await receiving)["type"] == "websocket.disconnect"
    peer.push.write(b"harmless")
    peer.push.close()
    peer.push.abort()
    assert peer.push.buffered == 0


async def test_push_that_closes_in_a_message_gets_no_more(peer: Peer) -> None:
    await peer.opens()
    recorder = Recorder(lambda _: peer.push.close())
    peer.push.start(recorder)
    peer.says(text("one", "two"), closing(1000))
    assert recorder.events == ["one"]
    assert peer.wire.take() == close_frame(1000)
    assert peer.wire.closing


async def test_push_cuts_at_once(peer: Peer) -> None:
    await peer.opens()
    recorder = Recorder(lambda _: peer.push.abort())
    peer.push.start(recorder)
    peer.says(text("one", "two"))
    assert recorder.events == ["one"]
    assert peer.wire.aborted
    peer.is_lost()
    assert recorder.events == ["one", ("lost", False)]


def _fail(*_: object) -> None:
    raise LookupError("a patient's name")


_HAPPENINGS: list[tuple[str, Callable[[Peer], None]]] = [
    ("message_received", lambda peer: peer.says(text("x"))),
    ("binary_received", lambda peer: peer.says(frame(BINARY, b"x"))),
    ("writing_paused", lambda peer: peer.protocol.pause_writing()),
    ("writing_resumed", lambda peer: peer.protocol.resume_writing()),
]


@pytest.mark.parametrize(("method", "happens"), _HAPPENINGS)
async def test_receiver_that_fails_is_closed_with_1011(
    peer: Peer,
    caplog: pytest.LogCaptureFixture,
    method: str,
    happens: Callable[[Peer], None],
) -> None:
    await peer.opens()
    recorder = Recorder()
    setattr(recorder, method, _fail)
    peer.push.start(recorder)
    happens(peer)
    assert peer.wire.take() == close_frame(1011)
    assert caplog.messages == ["Exception in the receiver of a push\n"]


async def test_receiver_that_fails_at_the_end_is_logged(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    await peer.opens()
    recorder = Recorder()
    setattr(recorder, "connection_lost", _fail)  # noqa: B010
    peer.push.start(recorder)
    peer.is_lost()
    assert caplog.messages == ["Exception in the receiver of a push\n"]


# How an application ends.


async def test_application_that_returns_closes_with_1000(peer: Peer) -> None:
    await peer.opens()
    await peer.leaves()
    assert peer.wire.take() == close_frame(1000)


async def test_a_push_goes_on_when_its_application_returns(peer: Peer) -> None:
    await peer.opens()
    recorder = Recorder()
    peer.push.start(recorder)
    await peer.leaves()
    assert peer.wire.take() == b""
    assert not peer.state.tasks
    peer.says(text("more"))
    peer.push.write(text_frame(b"yes"))
    assert peer.wire.take() == text_frame(b"yes")
    peer.protocol.shutdown()
    assert peer.wire.take() == close_frame(1012)
    peer.is_lost()
    assert recorder.events == ["more", ("lost", False)]


async def test_application_that_returns_without_an_answer_is_a_500(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    await peer.asks()
    await peer.leaves()
    assert peer.wire.take().startswith(b"HTTP/1.1 500 ")
    assert caplog.messages == ["ASGI callable returned without completing handshake."]


async def test_application_that_fails_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        raise LookupError

    peer = Peer(fails)
    await peer.asks()
    assert peer.wire.take().endswith(b"\r\n\r\n" + close_frame(1011))
    assert caplog.messages == ["Exception in ASGI application\n"]
    await finish(peer)


async def test_application_that_lets_a_disconnect_through_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def goes_on(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while True:
            await receive()
            await send({"type": "websocket.send", "text": "more"})

    peer = Peer(goes_on)
    await peer.asks()
    peer.is_lost()
    await turns()
    assert caplog.messages == []
    await finish(peer)


async def test_application_that_returns_a_value_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def returns(scope: Scope, receive: Receive, send: Send) -> Any:
        await send({"type": "websocket.accept"})
        return "a secret"

    peer = Peer(returns)
    await peer.asks()
    assert caplog.messages == ["ASGI callable should return None, but returned a value."]
    await finish(peer)


async def test_application_that_is_cancelled_closes_with_1012(peer: Peer) -> None:
    await peer.opens()
    for task in peer.state.tasks:
        task.cancel()
    await turns()
    assert peer.wire.take() == close_frame(1012)


async def test_shutdown_closes_with_1012(peer: Peer) -> None:
    await peer.opens()
    peer.protocol.shutdown()
    peer.protocol.shutdown()
    assert peer.wire.take() == close_frame(1012)
    assert (await peer.gets())["code"] == 1012
    peer.says(closing(1012))
    assert peer.wire.closing


async def test_shutdown_during_the_handshake_is_a_503(peer: Peer) -> None:
    await peer.asks()
    peer.protocol.shutdown()
    assert peer.wire.take().startswith(b"HTTP/1.1 503 ")
    await peer.receive()
    assert (await peer.gets())["code"] == 1012


# Pings of ours. Times are 0 or for ever: what counts is the order.


async def test_silent_peer_is_pinged_and_given_up() -> None:
    peer = Peer(ws_ping_interval=1e-9, ws_ping_timeout=1e-9)
    await peer.opens()
    assert (await peer.gets())["reason"] == "keepalive ping timeout"
    sent = peer.wire.take()
    assert sent[:2] == b"\x89\x04"
    assert sent[6:] == close_frame(1011, "keepalive ping timeout")
    await finish(peer)


async def _pings(peer: Peer) -> bytes:
    """Wait for a ping; return its payload."""
    async with asyncio.timeout(5):
        await peer.wire.was_sent.wait()
    return peer.wire.take()[2:6]


@pytest.mark.parametrize("patience_s", [None, 1e6])
async def test_peer_that_answers_is_pinged_again(patience_s: float | None) -> None:
    peer = Peer(ws_ping_interval=1e-9, ws_ping_timeout=patience_s)
    await peer.opens()
    first = await _pings(peer)
    peer.says(frame(PONG, b"unasked"), frame(PONG, first), frame(PONG, first))
    assert await _pings(peer) != first
    await finish(peer)


async def test_peer_that_is_not_read_is_not_given_up() -> None:
    peer = Peer(ws_ping_interval=1e-9, ws_ping_timeout=1e-9, ws_max_queue=1)
    await peer.opens()
    peer.says(text("one"))
    first = peer.wire.take()
    peer.says(text("two"))
    assert not peer.wire.reading
    first = first or (await _pings(peer))
    await turns()
    assert b"keepalive" not in peer.wire.sent
    assert not peer.wire.eof
    await finish(peer)


async def test_pings_do_not_pile_up_for_a_peer_that_does_not_read() -> None:
    peer = Peer(ws_ping_interval=1e-9, ws_ping_timeout=None)
    await peer.opens()
    await _pings(peer)
    peer.protocol.pause_writing()
    peer.wire.take()
    await turns()
    assert peer.wire.take() == b""
    await finish(peer)


async def test_push_has_a_heartbeat_of_its_own() -> None:
    peer = Peer(ws_ping_interval=1e-9, ws_ping_timeout=1e-9)
    await peer.opens()
    peer.push.start(Recorder())
    peer.wire.take()
    await turns()
    assert peer.wire.take() == b""
    await finish(peer)
