"""WebSocket frames: no split of the bytes changes what they say, no bytes make a reader fail."""

from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st
from websockets.utils import apply_mask

from bolide.server.web.websocket.frames import (
    Closed,
    FrameEvent,
    FrameReader,
    Ping,
    Pong,
    Violation,
    close_frame,
    is_sendable,
)

LIMIT = 70_000
LETTERS = "a\0\x7fé\u07ff\u0800€\uffff\U00010000😀"  # of one to four bytes


@dataclass(frozen=True)
class Sent:
    """What a client sends, and what a server must understand."""

    wire: bytes
    events: tuple[FrameEvent, ...]


def _frame(opcode: int, payload: bytes, mask: bytes, *, fin: bool = True) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65_536:
        length = bytes([0xFE]) + size.to_bytes(2, "big")
    else:
        length = bytes([0xFF]) + size.to_bytes(8, "big")
    return bytes([(0x80 if fin else 0) | opcode]) + length + mask + apply_mask(payload, mask)


_masks = st.binary(min_size=4, max_size=4)


@st.composite
def _control(draw: st.DrawFn) -> Sent:
    payload, mask = draw(st.binary(max_size=125)), draw(_masks)
    if draw(st.booleans()):
        return Sent(_frame(9, payload, mask), (Ping(payload),))
    return Sent(_frame(10, payload, mask), (Pong(payload),))


@st.composite
def _message(draw: st.DrawFn) -> Sent:
    """A message in any number of fragments, control frames between them."""
    message: str | bytes = draw(st.text(LETTERS, max_size=300) | st.binary(max_size=300))
    times = draw(st.sampled_from([1, 1, 1, 50, 230]))  # some need 16, some 64 bits of length
    message = message[:75] * times if times > 1 else message
    raw = message.encode() if isinstance(message, str) else message
    if len(raw) > LIMIT:
        raw, message = raw[:0], message[:0]
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=4)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    wire, events = b"", list[FrameEvent]()
    for number, piece in enumerate(pieces):
        opcode = 0 if number else (1 if isinstance(message, str) else 2)
        is_last = number == len(pieces) - 1
        wire += _frame(opcode, piece, draw(_masks), fin=is_last)
        if not is_last and draw(st.booleans()):
            between = draw(_control())
            wire += between.wire
            events += between.events
    return Sent(wire, (*events, message))


@st.composite
def _closing(draw: st.DrawFn) -> Sent:
    code = draw(st.sampled_from([1000, 1001, 1003, 1007, 1014, 3000, 4999]))
    reason = draw(st.text(LETTERS, max_size=30))
    payload = code.to_bytes(2, "big") + reason.encode()
    return Sent(_frame(8, payload, draw(_masks)), (Closed(code, reason),))


_conversations = st.tuples(
    st.lists(_message() | _control(), max_size=5), st.lists(_closing(), max_size=1)
).map(lambda parts: [*parts[0], *parts[1]])


def _read(chunks: list[bytes], limit: int = LIMIT) -> list[FrameEvent]:
    reader = FrameReader(limit)
    events: list[FrameEvent] = []
    for chunk in chunks:
        reader.receive_data(chunk)
        while (event := reader.next_event()) is not None:
            events.append(event)
    return events


@given(_conversations, st.data())
def test_any_split_gives_the_same_messages(conversation: list[Sent], data: st.DataObject) -> None:
    wire = b"".join(sent.wire for sent in conversation)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=20)))
    chunks = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert _read(chunks) == [event for sent in conversation for event in sent.events]


_headers = st.tuples(
    st.sampled_from([0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A, 0xC1, 0x83, 0x09]),
    st.sampled_from([0x80, 0x81, 0x82, 0x84, 0xFD, 0xFE, 0xFF, 0x01, 0x7F]),
).map(bytes)
_noise = st.lists(st.binary(max_size=20) | _headers | _message().map(lambda one: one.wire))


@given(_noise, st.integers(0, 1000))
@example([b"\x00~", b"\x00\x00"], 0)
def test_any_bytes_end_in_a_legal_close_or_wait_for_more(chunks: list[bytes], limit: int) -> None:
    events = _read(chunks, limit)
    ends = [event for event in events if isinstance(event, (Closed, Violation))]
    assert len(ends) <= 1
    if ends:
        (end,) = ends
        assert events[-1] is end
        assert end.code == 1005 or is_sendable(end.code)
        assert len(close_frame(end.code, end.reason)) <= 2 + 125
    assert all(len(event) <= limit for event in events if isinstance(event, bytes))
    together = [b"".join(chunks)]
    assert _read(together, limit) == events
