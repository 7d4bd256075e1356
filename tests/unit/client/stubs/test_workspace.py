"""What stubs write is theirs until they have ended."""

from typing import Any

import pytest
from tests.unit.client.stubs.conftest import Bench

from bolide.client.collections.observer import Selection
from bolide.core.errors import LocalProtocolError


def ids(documents: list[dict[str, Any]]) -> list[Any]:
    return [document["_id"] for document in documents]


def test_it_reads_what_it_wrote_and_nobody_else_does(bench: Bench) -> None:
    patients = bench.sim.collection("p")
    assert patients.insert({"_id": "d", "n": 4}) == "d"
    assert patients.update("a", {"$inc": {"n": 10}}) == 1
    assert patients.remove({"n": 2}) == 1
    assert ids(bench.sim.collection("p").find()) == ["c", "a", "d"]
    assert patients.find_one("a") == {"_id": "a", "n": 13}
    assert patients.find_one("b") is None
    assert patients.find("d") == [{"_id": "d", "n": 4}]
    assert ids(bench.collections["p"].fetch(Selection())) == ["c", "a", "b"]
    assert bench.writes() == {"a": {"_id": "a", "n": 13}, "b": None, "d": {"_id": "d", "n": 4}}


def test_only_what_differs_in_the_end_is_written(bench: Bench) -> None:
    patients = bench.sim.collection("p")
    patients.update("a", {"$set": {"n": 3}})
    patients.remove(patients.insert({"n": 4}))
    patients.remove("b")
    patients.insert({"_id": "b", "n": 2})
    assert bench.writes() == {}
    assert ids(patients.find()) == ["c", "a", "b"]


def test_more_operations_than_the_limit_are_refused() -> None:
    bench = Bench(max_operations=3)
    bench.sim.collection("p").update({}, {"$set": {"x": 1}}, multi=True)
    with pytest.raises(LocalProtocolError, match="3 operations"):
        bench.sim.call("m")
