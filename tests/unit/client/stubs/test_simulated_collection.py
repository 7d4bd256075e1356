"""Collections in stubs: they read what is shown, and draw the ids of the server."""

from typing import Any

import pytest
from tests.unit.client.stubs.conftest import SEED, Bench

from bolide.core.ddp.random import SeededStreams
from bolide.core.errors import LocalProtocolError
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.values import ObjectId


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
