"""What a stub is given: the streams of its method, and other stubs."""

from typing import Any

from tests.unit.client.stubs.conftest import SEED, Bench

from bolide.client.events import DocumentChange
from bolide.client.stubs.simulation import Simulation
from bolide.core.ddp.random import SeededStreams


def test_random_draws_from_the_streams_of_the_call(bench: Bench) -> None:
    expected = SeededStreams(SEED)
    default = expected.stream("default")
    random = bench.sim.random
    assert (random.id(), random.hex(4)) == (default.id(), default.hex(4))
    assert random.fraction() == default.fraction()
    assert random.stream("x").id() == expected.stream("x").id()
    assert bench.sim.user_id is None


def test_nested_call_shares_the_workspace_and_draws_as_the_server_does() -> None:
    def admit(sim: Simulation, beds: list[int]) -> Any:
        beds.append(9)
        return sim.collection("q").insert({"beds": beds})

    bench = Bench(stubs={"admit": admit})
    beds = [1]
    drawn = bench.sim.call("admit", beds)
    seed = SeededStreams(SEED).stream("/rpc/admit").hex(20)
    assert drawn == SeededStreams(seed).stream("/collection/q").id()
    assert beds == [1]
    assert bench.sim.call("unknown") is None
    assert bench.workspace.writes() == [
        DocumentChange("q", drawn, {"_id": drawn, "beds": [1, 9]}),
    ]
