"""The rows: what is measured on which servers, and in which unit."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.rig.load import Reading, broadcast_load, request_load
from bench.rig.material import Material
from bench.rig.process import Running, wait_until_idle
from bench.rig.servers import Server, bolide, c_floor, node_ws, prototype
from bench.rig.sessions import sessions_open

__all__ = ["NODE_ROWS", "Measure", "Row", "measure_memory", "node_row"]

Measure = Callable[[Server, Running, Material], Reading]
"""Measures a started server once."""

_MEMORY_SESSIONS = 2_000
# The first sessions load code and read the shared result; they are not in the figure.
_MEMORY_FIRST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One path of DESIGN 15.

    Attributes:
        name: On the command line.
        unit: Of the figures.
        reference: Server that divides the others, None if there is none.
        servers: In the order of one round.
        extra: Servers that are measured on request only.
        measure: Measures one of them.
        app: What a profile is made of: the module in ``bench/apps``, on the memory store.
        tls: The profiled node speaks TLS.
        kind: ``"cpu"`` or ``"memory"``: what the figures count.
    """

    name: str
    unit: str
    reference: str | None
    servers: Sequence[Server]
    extra: Sequence[Server] = ()
    measure: Measure
    app: str
    tls: bool = False
    kind: str = "cpu"

    def with_extra(self) -> "Row":
        """Return the row with the servers that are measured on request."""
        return replace(self, servers=(*self.servers, *self.extra), extra=())

    def with_only(self, names: Collection[str]) -> "Row":
        """Return the row with the servers that are named, and its reference."""
        kept = {*names, self.reference}
        return replace(self, servers=[each for each in self.servers if each.name in kept])

    def profiled(self, launcher: Sequence[str] | None) -> Server:
        """Return the node that a profile is made of.

        Args:
            launcher: Words between ``python`` and those of ``bolide``; None as usual.
        """
        return bolide(self.app, store="memory", tls=self.tls, name="profiled", launcher=launcher)


def _coalesce(server: Server, running: Running, material: Material) -> Reading:
    return broadcast_load(server, running, material, together=4)


def measure_memory(
    running: Running,
    *,
    begin: Callable[[], object] = lambda: None,
    end: Callable[[], object] = lambda: None,
) -> Reading:
    """Measure what a session with a subscription adds to a node's memory, kB.

    Args:
        running: The node.
        begin: Called when the first sessions are open.
        end: Called when all are.
    """
    with sessions_open(running.port, "ward", _MEMORY_FIRST):
        wait_until_idle(running)
        before = running.memory_kb()
        begin()
        with sessions_open(running.port, "ward", _MEMORY_SESSIONS):
            wait_until_idle(running)
            grown = running.memory_kb() - before
            end()
    return Reading(grown / _MEMORY_SESSIONS, None, _MEMORY_SESSIONS)


def _memory(server: Server, running: Running, material: Material) -> Reading:
    return measure_memory(running)


_PER_MESSAGE = "us of CPU per delivered message"

NODE_ROWS = (
    Row(
        name="fanout",
        unit=_PER_MESSAGE,
        reference="node-ws",
        servers=(
            node_ws(),
            c_floor(),
            bolide("fanout", store="memory"),
            bolide("fanout", store="sqlite"),
        ),
        extra=(prototype(),),
        measure=broadcast_load,
        app="fanout",
    ),
    Row(
        name="fanout-tls",
        unit=_PER_MESSAGE,
        reference="node-ws",
        servers=(
            node_ws(tls=True),
            c_floor(tls=True),
            bolide("fanout", store="memory", tls=True),
            bolide("fanout", store="sqlite", tls=True),
        ),
        extra=(prototype(tls=True),),
        measure=partial(broadcast_load, settle_s=3.0),
        app="fanout",
        tls=True,
    ),
    Row(
        name="coalesce",
        unit=_PER_MESSAGE,
        reference="node-ws",
        servers=(
            node_ws(),
            bolide("fanout", store="memory"),
            bolide("fanout", store="sqlite"),
        ),
        measure=_coalesce,
        app="fanout",
    ),
    Row(
        name="method",
        unit="us of CPU per request and reply",
        reference="node-ws",
        servers=(node_ws(), c_floor(), bolide("methods", store="memory", name="bolide")),
        extra=(prototype(),),
        measure=request_load,
        app="methods",
    ),
    Row(
        name="memory",
        unit="kB per session",
        reference=None,
        servers=(bolide("shared", store="memory"), bolide("shared", store="sqlite")),
        measure=_memory,
        app="shared",
        kind="memory",
    ),
)


def node_row(name: str) -> Row | None:
    """Return a row by its name, None if it is not one of ours."""
    return next((row for row in NODE_ROWS if row.name == name), None)
