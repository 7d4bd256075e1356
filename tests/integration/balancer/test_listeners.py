"""The sockets that workers accept at."""

import os
import socket
from collections.abc import Sequence

import pytest

from bolide.balancer.members.address import parse_address
from bolide.balancer.settings.settings import BalancerSettings
from bolide.balancer.supervisor.listeners import Listeners
from bolide.core.errors import ConfigurationError


def open_(
    listen: Sequence[str], *, proxied: Sequence[str] = (), redirect: Sequence[str] = ()
) -> Listeners:
    return Listeners(
        BalancerSettings(
            file="balancer.toml",
            cluster="ward",
            listen=tuple(map(parse_address, listen)),
            proxied_listen=tuple(map(parse_address, proxied)),
            redirect=tuple(map(parse_address, redirect)),
        )
    )


def test_each_address_has_one_socket_of_its_kind() -> None:
    listeners = open_(["127.0.0.1:0", "[::1]:0"], proxied=["127.0.0.1:0"], redirect=["[::1]:0"])
    assert list(listeners.kinds.values()) == ["tls", "tls", "proxied", "redirect"]
    assert [address.host for address in listeners.addresses] == [
        "127.0.0.1", "::1", "127.0.0.1", "::1",
    ]  # fmt: skip
    for fd in listeners.kinds:
        with socket.socket(fileno=fd) as listener:
            assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
            assert not os.get_blocking(fd)
            listener.detach()
    for address in listeners.addresses:
        socket.create_connection((address.host, address.port)).close()
    listeners.close()


def test_both_kinds_of_addresses_have_the_same_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listeners = open_([f"0.0.0.0:{port}", f"[::]:{port}"])
    assert len(listeners.kinds) == 2
    listeners.close()


def test_an_address_in_use_is_told_and_no_socket_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as free:
            first = free.getsockname()[1]
        with pytest.raises(ConfigurationError, match="another process listens there") as caught:
            open_([f"127.0.0.1:{first}"], redirect=[f"127.0.0.1:{port}"])
        assert (caught.value.option, caught.value.value) == ("redirect", f"127.0.0.1:{port}")
        socket.create_server(("127.0.0.1", first)).close()


@pytest.mark.parametrize("address", ["192.0.2.1:0", "no.such.host.invalid:0", "a..b:0"])
def test_an_address_of_another_machine_is_told(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"an address (or a name )?of this machine"):
        open_([address])
