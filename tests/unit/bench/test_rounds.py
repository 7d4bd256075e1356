from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.rig.load import Reading
from bench.rig.material import Material
from bench.rig.process import DidNotStart, Running
from bench.rig.servers import Server
from bench.rounds import measure_rows, order_of_round
from bench.rows import Row

MATERIAL = Material(Path())


def _server(name: str, *, is_ours: bool = False, starts: bool = True) -> Server:
    @contextmanager
    def start(material: Material) -> Generator[Running]:
        if not starts:
            raise DidNotStart(f"{name} did not start")
        yield Running(0, 0, Path())

    return Server(name=name, path="/", start=start, is_ours=is_ours)


def _row(*servers: Server, readings: dict[str, list[Reading]]) -> Row:
    def measure(server: Server, running: Running, material: Material) -> Reading:
        return readings[server.name].pop(0)

    return Row(
        name="fanout", unit="us", reference="node-ws", servers=servers, measure=measure, app=""
    )


def test_every_server_is_measured_once_in_each_round() -> None:
    said: list[str] = []
    row = _row(
        _server("node-ws"),
        _server("bolide", is_ours=True),
        readings={
            "node-ws": [Reading(10.0, None), Reading(20.0, None)],
            "bolide": [Reading(8.0, None), Reading(None, "it broke")],
        },
    )
    [result] = measure_rows([row], 2, MATERIAL, said.append)
    assert result.figures == {"node-ws": [10.0, 20.0], "bolide": [8.0, None]}
    assert result.notes["bolide"] == ["it broke"]
    assert result.ours == {"bolide"}
    assert said == [
        "1/2 fanout node-ws: 10.00 us",
        "1/2 fanout bolide: 8.00 us",
        "2/2 fanout bolide: - (it broke)",
        "2/2 fanout node-ws: 20.00 us",
    ]


def test_a_node_that_does_not_start_leaves_the_peers() -> None:
    row = _row(
        _server("node-ws"),
        _server("bolide", is_ours=True, starts=False),
        readings={"node-ws": [Reading(10.0, None)]},
    )
    [result] = measure_rows([row], 1, MATERIAL, lambda line: None)
    assert result.figures == {"node-ws": [10.0], "bolide": [None]}
    assert result.notes["bolide"] == ["bolide did not start"]


def test_a_peer_that_does_not_start_ends_the_run() -> None:
    row = _row(_server("node-ws", starts=False), readings={})
    with pytest.raises(DidNotStart, match="node-ws"):
        measure_rows([row], 1, MATERIAL, lambda line: None)


def test_an_interrupted_run_keeps_its_whole_rounds() -> None:
    readings = [Reading(10.0, None), Reading(8.0, None), Reading(9.0, None)]

    def measure(server: Server, running: Running, material: Material) -> Reading:
        if not readings:
            raise KeyboardInterrupt
        return readings.pop(0)

    servers = (_server("node-ws"), _server("bolide", is_ours=True))
    row = Row(name="fanout", unit="", reference="node-ws", servers=servers, measure=measure, app="")
    [result] = measure_rows([row], 9, MATERIAL, lambda line: None)
    assert result.figures == {"node-ws": [10.0], "bolide": [8.0]}
    assert result.rounds == 1


def test_a_row_can_be_cut_to_some_servers_and_keeps_its_reference() -> None:
    row = _row(_server("node-ws"), _server("c-floor"), _server("bolide"), readings={})
    assert [server.name for server in row.with_only(["bolide"]).servers] == ["node-ws", "bolide"]


def test_every_second_round_is_turned_around() -> None:
    servers = [_server("a"), _server("b")]
    assert [server.name for server in order_of_round(servers, 1)] == ["a", "b"]
    assert [server.name for server in order_of_round(servers, 2)] == ["b", "a"]
