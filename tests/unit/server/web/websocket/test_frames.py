"""Frames: RFC 6455 byte by byte, as a strict server reads and writes it."""

import subprocess
import sys

import pytest
from websockets.utils import apply_mask

from bolide.core.errors import LocalProtocolError
from bolide.server.web.websocket.frames import (
    MAX_CONTROL_BYTES,
    Closed,
    FrameEvent,
    FrameReader,
    Ping,
    Pong,
    Violation,
    binary_frame,
    close_frame,
    is_sendable,
    ping_frame,
    pong_frame,
    text_frame,
)

MASK = b"\x37\xfa\x21\x3d"
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    """Return a frame as a client makes it."""
    size = len(payload)
    masking = 0x80 if masked else 0
    first = bytes([(0x80 if fin else 0) | rsv | opcode])
    if size < 126:
        header = first + bytes([masking | size])
    elif size < 65_536:
        header = first + bytes([masking | 126]) + size.to_bytes(2, "big")
    else:
        header = first + bytes([masking | 127]) + size.to_bytes(8, "big")
    return header + (MASK + apply_mask(payload, MASK) if masked else payload)


def events_of(*chunks: bytes, max_bytes: int = 100_000) -> list[FrameEvent]:
    reader = FrameReader(max_bytes)
    events: list[FrameEvent] = []
    for chunk in chunks:
        reader.receive_data(chunk)
        while (event := reader.next_event()) is not None:
            events.append(event)
    return events


def violation(*chunks: bytes, max_bytes: int = 100_000) -> int:
    """Return the code of the violation that must be the last event."""
    last = events_of(*chunks, max_bytes=max_bytes)[-1]
    assert isinstance(last, Violation)
    assert close_frame(last.code, last.reason)  # one that may be sent
    return last.code


@pytest.mark.parametrize("size", [0, 1, 4, 5, 125, 126, 127, 128, 65_535, 65_536, 70_000])
def test_message_of_any_length_is_read_whole_and_in_pieces(size: int) -> None:
    text = ("Fieber 39,5 °C " * (size // 8 + 1))[:size]
    wire = frame(TEXT, text.encode())
    assert events_of(wire) == [text]
    step = 1 if size < 1000 else 1009
    assert events_of(*(wire[at : at + step] for at in range(0, len(wire), step))) == [text]
    data = bytes(index % 251 for index in range(size))
    assert events_of(frame(BINARY, data)) == [data]


def test_reader_stops_where_its_owner_stops_asking() -> None:
    reader = FrameReader(100)
    reader.receive_data(frame(TEXT, b"one") + frame(TEXT, b"two"))
    assert reader.next_event() == "one"
    assert reader.waiting_bytes == len(frame(TEXT, b"two"))
    reader.receive_data(frame(TEXT, b"three"))
    assert [reader.next_event(), reader.next_event(), reader.next_event()] == ["two", "three", None]
    assert reader.waiting_bytes == 0


def test_fragments_make_one_message_with_control_frames_between() -> None:
    text = "Müller"
    raw = text.encode()
    wire = [
        frame(TEXT, raw[:2], fin=False),  # ends within a character
        frame(PING, b"hello"),
        frame(CONTINUATION, b"", fin=False),
        frame(PONG),
        frame(CONTINUATION, raw[2:]),
        frame(BINARY, b"\xff", fin=False),
        frame(CONTINUATION, b"\xfe"),
        frame(TEXT, b"next"),
    ]
    expected = [Ping(b"hello"), Pong(b""), text, b"\xff\xfe", "next"]
    assert events_of(b"".join(wire)) == expected
    assert events_of(*wire) == expected


@pytest.mark.parametrize(
    "wire",
    [
        frame(TEXT, b"x", rsv=0x40),
        frame(TEXT, b"x", rsv=0x20),
        frame(PING, rsv=0x10),
        frame(3),
        frame(0xB),
        frame(TEXT, b"x", masked=False),
        frame(BINARY, masked=False),
        frame(PING, fin=False),
        frame(PING, b"x" * 126),
        frame(CLOSE, b"x" * 65_536)[:2],  # before its length is here
        frame(CONTINUATION, b"x"),
        frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
        frame(TEXT, b"x", fin=False) + frame(BINARY, b"y", fin=False),
        b"\x81\xfe\x00\x7d" + MASK,  # 125 in 16 bits
        b"\x81\xff" + (65_535).to_bytes(8, "big") + MASK,  # 65535 in 64 bits
        b"\x82\xff" + (1 << 63).to_bytes(8, "big") + MASK,
        frame(CLOSE, b"\x03"),
        *(frame(CLOSE, code.to_bytes(2, "big")) for code in (0, 999, 1004, 1005, 1006, 1015, 1016)),
        *(frame(CLOSE, code.to_bytes(2, "big")) for code in (2999, 5000, 65_535)),
    ],
)
def test_what_the_protocol_forbids_closes_with_1002(wire: bytes) -> None:
    assert violation(wire) == 1002
    assert violation(*(wire[at : at + 1] for at in range(len(wire)))) == 1002


@pytest.mark.parametrize(
    "raw", [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"ok\xc3"]
)
def test_text_that_is_not_utf8_closes_with_1007(raw: bytes) -> None:
    assert violation(frame(TEXT, raw)) == 1007
    assert violation(frame(TEXT, raw[:1], fin=False) + frame(CONTINUATION, raw[1:])) == 1007
    assert violation(frame(CLOSE, b"\x03\xe8" + raw)) == 1007


def test_wrong_byte_is_noticed_before_the_frame_is_complete() -> None:
    wire = frame(TEXT, b"good\xff" + b"x" * 1000)
    assert violation(wire[:20]) == 1007


def test_message_over_the_limit_closes_with_1009_at_its_header() -> None:
    assert events_of(frame(TEXT, b"x" * 10), max_bytes=10) == ["x" * 10]
    assert violation(frame(TEXT, b"x" * 11)[:6], max_bytes=10) == 1009
    assert violation(frame(BINARY, b"x" * 11), max_bytes=10) == 1009
    assert violation(frame(BINARY, b"x" * 200)[:4], max_bytes=10) == 1009
    assert violation(b"\x82\xff" + (1 << 40).to_bytes(8, "big"), max_bytes=10) == 1009
    together = frame(TEXT, b"x" * 6, fin=False) + frame(CONTINUATION, b"x" * 5)[:2]
    assert violation(together, max_bytes=10) == 1009


def test_length_of_126_bytes_counts_like_any_other() -> None:
    assert violation(frame(BINARY, b"x" * 126), max_bytes=100) == 1009
    assert events_of(frame(BINARY, b"x" * 127), max_bytes=127) == [b"x" * 127]


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_close_frame_is_the_last_event(code: int) -> None:
    payload = code.to_bytes(2, "big") + "adiós".encode()
    assert events_of(frame(CLOSE, payload) + frame(TEXT, b"late"), b"later") == [
        Closed(code, "adiós")
    ]
    assert is_sendable(code)


def test_close_frame_without_a_code_says_1005() -> None:
    assert events_of(frame(CLOSE)) == [Closed(1005, "")]


def test_nothing_is_read_after_a_violation() -> None:
    events = events_of(frame(3) + frame(TEXT, b"x"), frame(TEXT, b"y"))
    assert [type(event) for event in events] == [Violation]


HELD_BY_A_READER = """
import sys, tracemalloc
from bolide.server.web.websocket import frames

wire = sys.stdin.buffer.read()
reader = frames.FrameReader(1_000_000)
tracemalloc.start()
for at in range(0, len(wire), 3):
    reader.receive_data(wire[at : at + 3])
    assert reader.next_event() is None
own = tracemalloc.Filter(inclusive=True, filename_pattern=frames.__file__)
held = tracemalloc.take_snapshot().filter_traces([own]).statistics("filename")
print(sum(one.size for one in held))
"""


def test_tiny_pieces_cost_about_what_they_carry() -> None:
    wire = frame(BINARY, b"x" * 30_000)[:-1]
    # In a process of its own: what a measurement of coverage allocates here is not the reader's.
    command = [sys.executable, "-c", HELD_BY_A_READER]
    outcome = subprocess.run(command, input=wire, env={}, capture_output=True, check=True)
    assert int(outcome.stdout) < 2 * len(wire)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_of_the_server_are_unmasked_and_in_shortest_form(size: int) -> None:
    payload = b"x" * size
    assert text_frame(payload) == frame(TEXT, payload, masked=False)
    assert binary_frame(payload) == frame(BINARY, payload, masked=False)


def test_control_frames_of_the_server() -> None:
    assert ping_frame(b"1") == frame(PING, b"1", masked=False)
    assert pong_frame(b"1") == frame(PONG, b"1", masked=False)
    assert close_frame(1000, "bye") == frame(CLOSE, b"\x03\xe8bye", masked=False)
    assert close_frame(1005) == frame(CLOSE, masked=False)


def test_long_reason_is_cut_after_a_whole_character() -> None:
    wire = close_frame(1000, "é" * 100)
    assert wire == frame(CLOSE, b"\x03\xe8" + "é".encode() * 61, masked=False)
    assert len(wire) - 2 <= MAX_CONTROL_BYTES


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2000, 5000])
def test_code_that_may_not_be_sent_is_our_callers_fault(code: int) -> None:
    with pytest.raises(LocalProtocolError, match=str(code)):
        close_frame(code)


def test_unmasking_works_without_the_c_extension() -> None:
    program = (
        "import sys; sys.modules['websockets.speedups'] = None\n"
        "from bolide.server.web.websocket.frames import apply_mask\n"
        "print(apply_mask.__module__, apply_mask(b'abcde', b'1234'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split(" ", 1)[0] == "websockets.utils"
    assert done.stdout.split(" ", 1)[1] == f"{apply_mask(b'abcde', b'1234')!r}\n"
