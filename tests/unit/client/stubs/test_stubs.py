"""Stubs: found by name, run over copies, and without a trace when they fail."""

from typing import Any

import pytest

from bolide.client.collections.local_collection import LocalCollection
from bolide.client.events import DocumentChange
from bolide.client.stubs.simulation import Simulation
from bolide.client.stubs.stubs import Simulated, Stubs
from bolide.core.errors import ConfigurationError


def run(stubs: Stubs, name: str, *args: Any) -> Simulated:
    local = LocalCollection("p")
    return stubs.simulate(name, args, local=lambda _: local, seed="s", now_ms=0)


def nothing(sim: Simulation) -> None: ...


def test_stub_gets_copies_of_the_arguments() -> None:
    stubs = Stubs(10)

    def add(sim: Simulation, document: dict[str, Any]) -> None:
        document["_id"] = "a"
        sim.collection("p").insert(document)

    stubs.add("add", add)
    assert "add" in stubs
    assert "other" not in stubs
    document = {"n": 1}
    assert run(stubs, "add", document) == Simulated(
        [DocumentChange("p", "a", {"_id": "a", "n": 1})]
    )
    assert document == {"n": 1}


def test_stub_that_fails_leaves_nothing_and_tells_type_and_place_only() -> None:
    stubs = Stubs(10)

    def add(sim: Simulation, secret: str) -> None:
        sim.collection("p").insert({})
        raise ValueError(secret)

    stubs.add("add", add)
    done = run(stubs, "add", "Ada")
    assert done.writes == ()
    line = add.__code__.co_firstlineno + 2
    assert done.failure == f"ValueError in test_stubs.py, line {line}"


def test_stub_that_does_not_fit_the_arguments_fails() -> None:
    stubs = Stubs(10)
    stubs.add("add", nothing)
    failure = run(stubs, "add", 1, 2).failure
    assert failure is not None
    assert failure.startswith("TypeError")


def test_stub_beyond_its_operations_leaves_nothing() -> None:
    stubs = Stubs(2)

    def add(sim: Simulation) -> None:
        for _ in range(3):
            sim.collection("p").insert({})

    stubs.add("add", add)
    assert run(stubs, "add").writes == ()


def test_second_stub_of_a_method_and_an_async_one_are_refused() -> None:
    async def wrong(sim: Simulation) -> None: ...

    stubs = Stubs(10)
    with pytest.raises(ConfigurationError, match="plain function"):
        stubs.add("m", wrong)
    stubs.add("m", nothing)
    with pytest.raises(ConfigurationError, match="no stub yet"):
        stubs.add("m", nothing)
