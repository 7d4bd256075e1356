"""What a stub can do: read what is shown, write for itself, and draw the ids of the server."""

from typing import Any

import pytest

from bolide.client.collections.local_collection import LocalCollection
from bolide.client.collections.observer import Selection
from bolide.client.events import DocumentChange
from bolide.client.stubs.simulation import Simulation, Workspace
from bolide.core.ddp.random import SeededStreams
from bolide.core.errors import LocalProtocolError
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.values import ObjectId

SEED = "ab" * 10


class Bench:
    """Two local collections, and a simulation over them."""

    def __init__(self, *, max_operations: int = 100, stubs: Any = None) -> None:
        self.collections = {name: LocalCollection(name) for name in "pq"}
        self.workspace = Workspace(
            self.collections.__getitem__, max_operations=max_operations, now_ms=1_000
        )
        self.sim = Simulation(self.workspace, stubs or {}, SEED)
        for document_id, n in (("c", 1), ("a", 3), ("b", 2)):
            self.collections["p"].put(document_id, {"_id": document_id, "n": n})

    def writes(self) -> dict[Any, Any]:
        return {write.document_id: write.document for write in self.workspace.writes()}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def ids(documents: list[dict[str, Any]]) -> list[Any]:
    return [document["_id"] for document in documents]


def test_it_reads_what_is_shown_as_a_query_does(bench: Bench) -> None:
    patients = bench.sim.collection("p")
    assert patients.name == "p"
    assert ids(patients.find()) == ["c", "a", "b"]
    assert ids(patients.find({"n": {"$gt": 1}}, sort=[("n", 1)], skip=1, limit=1)) == ["a"]
    assert patients.find("a", projection={"_id": 1}) == [{"_id": "a"}]
    assert patients.find("none") == patients.find(None) == []
    assert patients.find_one({}, sort={"n": 1}) == {"_id": "c", "n": 1}
    assert patients.find_one({"n": 9}) is None
    assert bench.writes() == {}


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


def test_update_changes_the_first_that_arrived_or_all(bench: Bench) -> None:
    patients = bench.sim.collection("p")
    assert patients.update({}, {"$set": {"x": 1}}) == 1
    assert list(bench.writes()) == ["c"]
    assert patients.update({"n": {"$lt": 3}}, {"$set": {"x": 2}}, multi=True) == 2
    assert patients.update({"n": 9}, {"$set": {"x": 2}}) == 0
    assert set(bench.writes()) == {"c", "b"}
    assert patients.update("a", {"name": "Ada"}) == 1
    assert bench.writes()["a"] == {"_id": "a", "name": "Ada"}


def test_positional_operator_and_current_date_work(bench: Bench) -> None:
    patients = bench.sim.collection("p")
    patients.insert({"_id": "d", "beds": [{"n": 1}, {"n": 2}]})
    patients.update({"beds.n": 2}, {"$set": {"beds.$.free": True}, "$currentDate": {"at": True}})
    document = bench.writes()["d"]
    assert document["beds"] == [{"n": 1}, {"n": 2, "free": True}]
    assert document["at"].timestamp() == 1


def test_upsert_updates_or_inserts(bench: Bench) -> None:
    patients = bench.sim.collection("p")
    assert patients.upsert({"n": 3}, {"$set": {"x": 1}}) is None
    assert patients.upsert("new", {"$set": {"x": 1}}) == "new"
    assert patients.upsert({"_id": "other"}, {"$set": {"x": 1}}) == "other"
    drawn = patients.upsert({"n": 7}, {"$set": {"x": 1}}, multi=True)
    assert bench.writes() == {
        "a": {"_id": "a", "n": 3, "x": 1},
        "new": {"_id": "new", "x": 1},
        "other": {"_id": "other", "x": 1},
        drawn: {"_id": drawn, "n": 7, "x": 1},
    }


def test_ids_are_those_that_the_server_draws(bench: Bench) -> None:
    expected = SeededStreams(SEED).stream("/collection/p")
    patients = bench.sim.collection("p")
    assert patients.insert({}) == expected.id()
    expected.id()  # an upsert draws one before it knows whether it needs it
    patients.upsert({"n": 3}, {"$set": {"x": 1}})
    assert bench.sim.collection("p").insert({}) == expected.id()
    vitals = bench.sim.collection("q", id="oid")
    assert vitals.insert({}) == ObjectId(SeededStreams(SEED).stream("/collection/q").hex(24))


def test_random_draws_from_the_streams_of_the_call(bench: Bench) -> None:
    expected = SeededStreams(SEED)
    default = expected.stream("default")
    random = bench.sim.random
    assert (random.id(), random.hex(4)) == (default.id(), default.hex(4))
    assert random.fraction() == default.fraction()
    assert random.stream("x").id() == expected.stream("x").id()
    assert bench.sim.user_id is None


def test_inserted_document_is_a_copy_and_must_be_new(bench: Bench) -> None:
    document: dict[str, Any] = {"_id": "d", "beds": (1, 2)}
    patients = bench.sim.collection("p")
    patients.insert(document)
    document["beds"] = 7
    assert bench.writes() == {"d": {"_id": "d", "beds": [1, 2]}}
    for taken in ("a", "d"):
        with pytest.raises(LocalProtocolError):
            patients.insert({"_id": taken})
    patients.insert({"_id": None})
    with pytest.raises(TypeError):
        patients.insert({"x": object()})
    with pytest.raises(MinimongoError):
        patients.update({}, {"$no": {"a": 1}})


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


def test_more_operations_than_the_limit_are_refused() -> None:
    bench = Bench(max_operations=3)
    bench.sim.collection("p").update({}, {"$set": {"x": 1}}, multi=True)
    with pytest.raises(LocalProtocolError, match="3 operations"):
        bench.sim.call("m")
