"""Listener: a node gets its port, or its operator one clear sentence."""

import errno
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from bolide.core.errors import ConfigurationError
from bolide.ops.node.listener import bind, bind_first_free, url_of


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with closing(bind("127.0.0.1", 0)) as listener:
        yield listener


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def test_port_0_takes_a_free_one() -> None:
    with (
        closing(bind("127.0.0.1", 0)) as listener,
        closing(socket.create_connection(listener.getsockname())) as peer,
    ):
        assert peer.getpeername() == listener.getsockname()


def test_port_in_use_is_named_with_a_way_out(taken: socket.socket) -> None:
    port = port_of(taken)
    with pytest.raises(ConfigurationError) as caught:
        bind("127.0.0.1", port, option="management_port")
    assert str(caught.value) == (
        f"management_port is {port}, but must be a free port: another process listens there; "
        "stop it or take another."
    )


def test_name_that_is_not_found_is_a_wrong_host() -> None:
    with pytest.raises(ConfigurationError, match=r"^host is 'nowhere\.invalid', but must be"):
        bind("nowhere.invalid", 0)


def test_address_of_another_machine_is_a_wrong_host() -> None:
    with pytest.raises(ConfigurationError, match=r"^host is '192\.0\.2\.1', but must be an addr"):
        bind("192.0.2.1", 0)


def test_port_without_the_right_to_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_listener: socket.socket, _address: object) -> None:
        raise OSError(errno.EACCES, "no")

    monkeypatch.setattr("bolide.ops.node.listener.socket.socket.bind", refuse)
    with pytest.raises(ConfigurationError, match="port is 80, but must be above 1023"):
        bind("127.0.0.1", 80)


def test_next_free_port_is_taken(taken: socket.socket) -> None:
    with closing(bind_first_free("127.0.0.1", port_of(taken))) as listener:
        assert port_of(listener) > port_of(taken)


def test_no_free_port_within_the_tries_is_said(taken: socket.socket) -> None:
    with pytest.raises(ConfigurationError, match="followed by a free one within 1 ports"):
        bind_first_free("127.0.0.1", port_of(taken), tries=1)


def test_url_names_the_host_as_it_was_written(taken: socket.socket) -> None:
    port = port_of(taken)
    assert url_of(taken) == f"http://127.0.0.1:{port}/"
    assert url_of(taken, "localhost") == f"http://localhost:{port}/"
    assert url_of(taken, "localhost", secure=True) == f"https://localhost:{port}/"
    assert url_of(taken, "::1") == f"http://[::1]:{port}/"
