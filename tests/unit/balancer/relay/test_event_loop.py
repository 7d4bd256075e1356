import socket
from select import EPOLLIN

from tests.handshakes import connected

from bolide.balancer.relay.event_loop import EventLoop


class Owner:
    """Whose socket it is; nothing of these fails."""

    def abort(self) -> None:
        raise AssertionError("no handler failed")


def test_a_closed_socket_is_watched_no_more_and_its_number_is_free() -> None:
    loop = EventLoop()
    told: list[str] = []
    with connected() as (first, peer), connected() as (other, other_peer):
        number = first.fileno()

        def close_first(_: int) -> None:
            told.append("first")
            loop.close(first)
            loop.close(first)  # nobody minds

        def end(_: int) -> None:
            told.append("other")
            loop.stop()

        loop.watch(number, Owner(), close_first, EPOLLIN)
        peer.send(b"x")
        loop.call_soon(lambda: other_peer.sendall(b"x"))
        loop.watch(other.fileno(), Owner(), end, EPOLLIN)
        loop.run()
        assert told == ["first", "other"]
        assert first.fileno() == -1
        with socket.socket() as again:
            assert again.fileno() == number


def test_a_socket_that_is_forgotten_stays_open() -> None:
    loop = EventLoop()
    with connected() as (first, peer):

        def forget(_: int) -> None:
            loop.forget(first.fileno())
            loop.stop()

        loop.watch(first.fileno(), Owner(), forget, EPOLLIN)
        peer.send(b"x")
        loop.run()
        assert first.recv(1) == b"x"
        # It may be watched anew, by whoever takes it.
        loop.watch(first.fileno(), Owner(), lambda _: loop.stop(), EPOLLIN)
