"""What a TLS listener would take, asked from outside one offer at a time, as sslyze does."""

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bolide.core.client_hello import RANDOM_BYTES, Choice, Offer, parse_answer
from bolide.core.errors import RemoteProtocolError

__all__ = ["Taken", "probe"]

TLS_1_2, TLS_1_3 = 0x0303, 0x0304
_VERSIONS: Final = range(0x0300, 0x0305)
_GROUPS: Final = (*range(1, 0x0200), *range(0x11E0, 0x1200), 0x6399, 0xFE30, 0xFF01, 0xFF02)
_MANY: Final = 4_000  # suites of one offer, whose record may hold 16 KiB
_TIMEOUT_S: Final = 20
_ALERT, _HANDSHAKE = 21, 22


@dataclass(frozen=True)
class Taken:
    """What was taken.

    Attributes:
        suites: Version -> suites; without a suite a version is not there.
        groups: Of TLS 1.3.
    """

    suites: dict[int, set[int]]
    groups: set[int]


def probe(port: int) -> Taken:
    """Ask for all versions, suites and groups that there are."""
    suites = {version: _suites(port, version) for version in _VERSIONS}
    found = {version: taken for version, taken in suites.items() if taken}
    return Taken(found, _groups(port, found.get(TLS_1_3, set())))


def _suites(port: int, version: int) -> set[int]:
    taken = set[int]()
    if version == TLS_1_3:
        chunks: Iterable[range] = [range(0x1300, 0x1400)]
    else:
        chunks = [range(start, start + _MANY) for start in range(1, 0xFFFF - _MANY, _MANY)]
    for chunk in chunks:
        left = set(chunk) - {0x00FF, 0x5600}  # no suites, but signals
        while left:
            choice = _ask(port, Offer((version,), tuple(left), (23, 24, 25, 29)))
            if choice is None or choice.version != version:
                break
            taken.add(choice.suite)
            left.discard(choice.suite)
    return taken


def _groups(port: int, suites: set[int]) -> set[int]:
    taken, left = set[int](), set(_GROUPS)
    while left and suites:
        choice = _ask(port, Offer((TLS_1_3,), tuple(suites), tuple(left)))
        if choice is None or choice.group is None:
            break
        taken.add(choice.group)
        left.discard(choice.group)
    return taken


def _ask(port: int, offer: Offer) -> Choice | None:
    """Return what a server takes of an offer, None if it refuses it."""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as connection:
        connection.sendall(offer.serialize(os.urandom(RANDOM_BYTES)))
        received = b""
        while True:
            try:
                data = connection.recv(65_536)
            except ConnectionResetError:
                data = b""
            received += data
            try:
                answer = parse_answer(received)
            except RemoteProtocolError:
                if data:
                    continue
                return None
            return answer if isinstance(answer, Choice) else None
