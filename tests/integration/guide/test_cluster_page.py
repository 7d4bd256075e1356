"""The operator's guide to a cluster, followed word for word on machines that are namespaces."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.machines import Machine, Machines, why_no_machines
from tests.network import Network, why_no_network
from tests.replica_set import ReplicaSet, find_mongod

from bolide.balancer.management.metrics import FAMILIES

_ROOT = Path(__file__).parents[3]
_PAGE = _ROOT / "docs" / "topics" / "cluster.md"
_ADDRESSES = {
    "front": "10.0.0.10",
    "one": "10.0.0.11",
    "two": "10.0.0.12",
    "desk": "10.0.0.13",
}
_STEP = re.compile(r"^```sh\n# ((?:front|one|two|desk)(?: \w+)*)\n(.*?)^```$", re.M | re.S)
_STORE = "mongodb://ward:secret@db.example.org/ward?replicaSet=rs0&tls=true"


def steps() -> Iterator[tuple[str, str]]:
    """Yield machine and commands of each block of the page, in its order."""
    for names, script in _STEP.findall(_PAGE.read_text()):
        for name in names.split():
            yield name, script


def test_every_command_of_the_page_says_where() -> None:
    text = _PAGE.read_text()
    assert len(_STEP.findall(text)) == text.count("```sh")
    for name, address in _ADDRESSES.items():
        assert f"| `{name}` | {address} |" in text
    assert _STORE in text


def test_what_is_to_be_watched_is_a_metric() -> None:
    _, _, watched = _PAGE.read_text().partition("## What to watch")
    rows = re.findall(r"^\| (`.*?) \|", watched, re.M)
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(names) > 10
    assert names - {"bolide_balancer_"} <= {family.name for family in FAMILIES}


class Nurse:
    """Somebody who looks at the ward from the desk, all the time."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._states = folder / "states"
        self._seen = folder / "seen"
        with self._states.open("w") as states, self._seen.open("w") as seen:
            self._process = subprocess.Popen(
                machine.command(
                    ["bolide", "watch", "https://ward.example.org", "ward.board", '"7"']
                ),
                env={**machine.environment, "SSL_CERT_FILE": "/srv/ward.example.org.pem"},
                stdout=seen,
                stderr=states,
            )

    @property
    def states(self) -> list[str]:
        """What the client said of its connection."""
        return [line.removeprefix("● ") for line in self._states.read_text().splitlines()]

    @property
    def seen(self) -> str:
        return self._seen.read_text()

    def wait_for(self, text: str, machine: Machine) -> None:
        """Wait on the machine until something was seen."""
        machine.run(f"until grep -q '{text}' /srv/seen; do sleep 0.1; done")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    if why := why_no_network() or why_no_machines():
        pytest.skip(why)
    if find_mongod() is None:
        pytest.skip("no mongod")
    with ExitStack() as stack:
        network = stack.enter_context(Network(len(_ADDRESSES) + 1))
        *_, database = network.others
        network_of_database = Network(0)
        network_of_database.others = [database]
        mongo = stack.enter_context(ReplicaSet(1, has_tls=True, network=network_of_database))
        hosts = {"ward.example.org": _ADDRESSES["front"]}
        folder = tmp_path / "machines"
        folder.mkdir()
        found = Machines(folder, _ADDRESSES, hosts, network)
        stack.enter_context(found)
        assert mongo.authority is not None
        for name in ("one", "two"):
            shutil.copytree(_ROOT / "examples", found[name].files / "opt" / "ward")
            tls = found[name].files / "etc" / "bolide"
            shutil.copy(mongo.authority.file(), tls / "db-ca.pem")
            # It has no users: a first one can only be made on the machine of a mongod itself.
            found[name].variables["BOLIDE_INSECURE_STORE"] = "true"
        # The database is the reader's own; this is its URL here.
        found.store = mongo.url("ward", tlsCAFile="/etc/bolide/db-ca.pem")
        yield found


def test_the_page_leads_to_a_cluster_that_is_restarted_while_somebody_looks(
    machines: Machines,
) -> None:
    nurse: Nurse | None = None
    desk = machines["desk"]
    try:
        for name, script in steps():
            if "/etc/bolide/drained north" in script:
                nurse = _nurse(machines)
            machines[name].run(script.replace(_STORE, machines.store))
        assert nurse is not None
        desk.run(
            "SSL_CERT_FILE=/srv/ward.example.org.pem"
            " bolide call https://ward.example.org notes.add p02 'Nobody noticed.'"
        )
        nurse.wait_for("Nobody noticed.", desk)
        # Moved by nodes that were drained, and never without a connection.
        first, *later = nurse.states
        assert first == "connecting"
        assert set(later) == {"connected", "connected, catching up"}
    finally:
        if nurse is not None:
            nurse.stop()


def _nurse(machines: Machines) -> Nurse:
    desk = machines["desk"]
    shown = machines["front"].files / "etc" / "bolide" / "tls" / "ward.example.org.pem"
    shutil.copy(shown, desk.files / "srv")
    nurse = Nurse(desk, desk.files / "srv")
    nurse.wait_for("added beds", desk)
    return nurse
