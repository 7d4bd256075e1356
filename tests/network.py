"""A network of several places on this machine whose lines can be cut, so that nobody is told.

A place is a network namespace of Linux; this one, in which the test runs, is a place as well. All
hang on one bridge. A line is cut by letting both ends send to a station that does not exist: what
they send vanishes on the way, as in a switch that died. Connections stay open, nothing is refused,
and no address is unreachable.

Needs root and the command ``ip``; :func:`why_no_network` says what is missing.
"""

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

__all__ = ["Network", "Place", "why_no_network"]

# Of a range that is for tests of networks (RFC 2544).
_ADDRESS: Final = "198.18.{}.{}"
_NOBODY: Final = "02:00:00:00:ff:ff"
_NETWORK_BITS: Final = 24


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere in the network.

    Attributes:
        address: What the others call it.
        namespace: Its name; empty for the place in which the test runs.
        device: Its end of the line.
        station: The address of the device on the line.
    """

    address: str
    namespace: str
    device: str
    station: str

    @property
    def prefix(self) -> list[str]:
        """What is put before a command that is to run there; the process is the command's own."""
        return ["ip", "netns", "exec", self.namespace] if self.namespace else []


class Network:
    """A network; it is begun by ``with`` and gone after it.

    Args:
        size: How many places there are beside this one.

    Attributes:
        here: The place in which the test runs.
        others: The others.
    """

    def __init__(self, size: int) -> None:
        self._name = f"bo{secrets.token_hex(3)}"
        third = secrets.randbelow(256)
        self.here = Place(_ADDRESS.format(third, 1), "", self._name, f"02:00:00:00:{third:02x}:01")
        self.others = [
            Place(
                _ADDRESS.format(third, number),
                f"{self._name}-{number}",
                f"{self._name}n{number}",
                f"02:00:00:00:{third:02x}:{number:02x}",
            )
            for number in range(2, size + 2)
        ]

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def cut(self, place: Place, *others: Place) -> None:
        """Let nothing pass any more between a place and others."""
        for other in others:
            self._point(place, other, _NOBODY)
            self._point(other, place, _NOBODY)

    def mend(self, place: Place, *others: Place) -> None:
        """Let everything pass again between a place and others."""
        for other in others:
            self._point(place, other, other.station)
            self._point(other, place, place.station)

    def all_but(self, place: Place) -> list[Place]:
        """Return the other places, this one included."""
        return [one for one in (self.here, *self.others) if one is not place]

    def _build(self) -> None:
        _ip(f"link add {self._name} address {self.here.station} type bridge")
        _ip(f"address add {self.here.address}/{_NETWORK_BITS} dev {self._name}")
        _ip(f"link set {self._name} up")
        for place in self.others:
            port = _port(place)
            _ip(f"netns add {place.namespace}")
            _ip(
                f"link add {port} type veth peer name {place.device}"
                f" address {place.station} netns {place.namespace}"
            )
            _ip(f"link set {port} master {self._name} up")
            _ip(f"link set {place.device} up", place)
            _ip("link set lo up", place)
            _ip(f"address add {place.address}/{_NETWORK_BITS} dev {place.device}", place)
        # Nobody asks for stations: an answer that does not come would make an address unreachable.
        for place in (self.here, *self.others):
            self.mend(place, *self.all_but(place))

    def _remove(self) -> None:
        for place in self.others:
            _ip(f"link delete {_port(place)}", may_fail=True)
            _ip(f"netns delete {place.namespace}", may_fail=True)
        _ip(f"link delete {self._name}", may_fail=True)

    def _point(self, place: Place, other: Place, station: str) -> None:
        _ip(
            f"neighbour replace {other.address} lladdr {station} dev {place.device} nud permanent",
            place,
        )


def why_no_network() -> str:
    """Say why there can be no such network here; empty if there can."""
    if shutil.which("ip") is None:
        return "no command ip: install iproute2"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    try:
        with Network(1):
            return ""
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not allowed here: {error.stderr.strip()}"


def _port(place: Place) -> str:
    """Return the end of a place's line that is on the bridge."""
    return f"{place.device}p"


def _ip(command: str, place: Place | None = None, *, may_fail: bool = False) -> None:
    where = ["-n", place.namespace] if place is not None and place.namespace else []
    subprocess.run(
        ["ip", *where, *command.split()], check=not may_fail, capture_output=True, text=True
    )
