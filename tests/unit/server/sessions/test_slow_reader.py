from collections.abc import Sequence

from bolide.server.sessions.slow_reader import LEAST_PROGRESS, SlowReader
from bolide.server.sessions.transport import PLAIN, Framing
from bolide.server.testing import FakeClock


class FullSocket:
    framing: Framing = PLAIN

    def __init__(self) -> None:
        self.waiting_bytes = 10 * LEAST_PROGRESS

    def send(self, packets: Sequence[bytes]) -> None:
        raise AssertionError("it is full")

    def close(self, reason: str, *, at_fault: bool = False) -> None:
        raise AssertionError("that is up to others")


async def test_who_takes_too_little_is_given_up_once() -> None:
    clock, socket, given_up = FakeClock(), FullSocket(), list[float]()
    SlowReader(socket, clock, 30.0, lambda: given_up.append(clock.now()))
    socket.waiting_bytes -= LEAST_PROGRESS
    await clock.advance(30.0)
    assert given_up == []
    socket.waiting_bytes -= LEAST_PROGRESS - 1
    await clock.advance(100.0)
    assert given_up == [60.0]


async def test_who_has_room_again_is_watched_no_longer() -> None:
    clock, given_up = FakeClock(), list[float]()
    reader = SlowReader(FullSocket(), clock, 30.0, lambda: given_up.append(clock.now()))
    reader.stop()
    await clock.advance(100.0)
    assert given_up == []
