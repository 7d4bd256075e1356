"""Machines that are namespaces: what stands between them stands between real ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.machines import Machines, why_no_machines
from tests.network import Network, why_no_network


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    if why := why_no_network() or why_no_machines():
        pytest.skip(why)
    addresses = {"a": "10.0.0.10", "b": "10.0.0.11"}
    with (
        Network(2) as network,
        Machines(tmp_path, addresses, {"ward.example.org": "10.0.0.10"}, network) as found,
    ):
        yield found


def test_a_machine_has_files_processes_and_an_address_of_its_own(machines: Machines) -> None:
    a, b = machines["a"], machines["b"]
    a.run("echo here > note; echo here > /etc/bolide/note")
    a.run("sleep 600 >/dev/null 2>&1 & echo $! > /run/pid")
    b.run("test ! -e note; test ! -e /etc/bolide/note; test ! -e /run/pid")
    assert "sleep" not in b.run("cat /proc/[0-9]*/comm")
    assert not (Path("/srv") / "note").exists()
    assert "10.0.0.10" in b.run("getent hosts ward.example.org")
    assert "10.0.0.11" in b.run("ip -brief address")
    assert "10.0.0.10/" not in b.run("ip -brief address")
    assert (
        a.run("kill $(cat /run/pid); while kill -0 $(cat /run/pid) 2>/dev/null; do :; done") == ""
    )


def test_files_are_copied_to_where_they_are_said_to_go(machines: Machines) -> None:
    a, b = machines["a"], machines["b"]
    a.run("(umask 077; echo one > first); echo two > second; scp first second b:")
    a.run("scp first b:/etc/bolide/")
    assert b.run("cat first second /etc/bolide/first") == "one\ntwo\none\n"
    assert b.run("stat -c %a first") == "600\n"


def test_what_fails_is_told(machines: Machines) -> None:
    with pytest.raises(AssertionError, match="on a: 1"):
        machines["a"].run("false; echo never")
