"""The outbox: what is sent of what waited, whatever happened in between."""

import json
from typing import Any

import pytest

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.keys import Key
from bolide.core.values import Fields
from bolide.server.sessions.transport import PLAIN, Wire
from bolide.server.sessions.view.outbox import Outbox
from bolide.server.sessions.view.view_change import ViewChange

WIRE = Wire(PLAIN)


class World:
    """An outbox, and what the client is to see."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.view: dict[Key, Fields] = {}

    def add(self, id: str, **fields: Any) -> None:
        self.view[id] = fields
        self.outbox.note(Added("c", id, fields), {}, None)

    def change(self, id: str, *cleared: str, **fields: Any) -> None:
        before = self.view[id]
        after = {**before, **fields}
        self.view[id] = {name: value for name, value in after.items() if name not in cleared}
        self.outbox.note(Changed("c", id, fields, cleared), before, None)

    def remove(self, id: str) -> None:
        before = self.view.pop(id)
        self.outbox.note(Removed("c", id), before, None)

    def message(self, name: str) -> None:
        self.outbox.message(json.dumps({"msg": name}).encode())

    def take(self, max_bytes: int = 10_000) -> list[Any]:
        packets = self.outbox.take(lambda _, key: self.view.get(key), WIRE, max_bytes)
        return [brief(json.loads(packet)) for packet in packets]


def brief(message: dict[str, Any]) -> Any:
    match message["msg"]:
        case "added" | "changed":
            extra = {"-": message["cleared"]} if "cleared" in message else {}
            kind = "=" if message.get("replace") else "+" if message["msg"] == "added" else "~"
            return kind + message["id"], message.get("fields", {}) | extra
        case "removed":
            return "-" + message["id"]
        case kind:
            return kind


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def known(world: World) -> World:
    """A client that holds a: x, y."""
    world.add("a", x=1, y=1)
    world.take()
    return world


def test_many_changes_are_one(known: World) -> None:
    for number in range(2, 100):
        known.change("a", x=number)
    assert known.take() == [("~a", {"x": 99})]
    assert not known.outbox


def test_fields_of_several_changes_come_together(known: World) -> None:
    known.change("a", "y", x=2)
    known.change("a", z=3)
    assert known.take() == [("~a", {"x": 2, "z": 3, "-": ["y"]})]


def test_a_field_that_came_and_went_is_not_cleared(known: World) -> None:
    known.change("a", z=3)
    known.change("a", "z")
    assert known.take() == []
    assert not known.outbox


def test_a_document_that_came_and_went_is_not_mentioned(world: World) -> None:
    world.add("a", x=1)
    world.remove("a")
    assert world.take() == []


def test_a_document_that_went_and_came_back_is_changed(known: World) -> None:
    known.remove("a")
    known.add("a", x=2, z=3)
    assert known.take() == [("~a", {"x": 2, "z": 3, "-": ["y"]})]


def test_a_document_that_changed_and_went_is_removed(known: World) -> None:
    known.change("a", x=2)
    known.remove("a")
    assert known.take() == ["-a"]


def test_a_new_document_is_added_as_it_is_now(world: World) -> None:
    world.add("a", x=1)
    world.change("a", x=2)
    assert world.take() == [("+a", {"x": 2})]


def test_a_message_comes_after_the_documents_before_it_and_before_those_after_it(
    known: World,
) -> None:
    known.change("a", x=2)
    known.message("updated")
    known.add("b")
    known.message("ready")
    assert known.take() == [("~a", {"x": 2}), "updated", ("+b", {}), "ready"]


def test_a_document_waits_in_the_first_generation_with_its_last_state(known: World) -> None:
    known.change("a", x=2)
    known.message("updated")
    known.change("a", x=3)
    known.message("ready")
    assert known.take() == [("~a", {"x": 3}), "updated", "ready"]


def test_a_hot_document_holds_up_no_message(known: World) -> None:
    known.message("first")
    known.message("second")
    taken = list[Any]()
    for number in range(2, 5):
        known.change("a", x=number)
        taken += known.take(max_bytes=1)
    assert taken == ["first", "second", ("~a", {"x": 4})]


def test_what_is_taken_is_bounded(world: World) -> None:
    for number in range(10):
        world.add(str(number), x="x" * 50)
    assert len(world.take(max_bytes=250)) == 3
    assert world.outbox.document_count == 7
    assert len(world.take()) == 7


def test_messages_are_counted_while_they_wait(world: World) -> None:
    world.message("ready")
    world.message("result")
    assert world.outbox.message_bytes == 33
    world.take(max_bytes=1)
    assert world.outbox.message_bytes == 17
    world.outbox.clear()
    assert (world.outbox.message_bytes, bool(world.outbox)) == (0, False)


def test_a_change_that_nothing_else_follows_is_sent_as_it_was_shared(known: World) -> None:
    change = ViewChange.changed("c", "a", {"x": 5}, {"x": 1, "y": 1}, {"x": 5, "y": 1})
    known.outbox.note(change.message, change.before, change)

    def visible(collection: str, key: Key) -> Fields | None:
        pytest.fail("looked at the document")

    packets = known.outbox.take(visible, WIRE, 1)
    assert packets[0] is change.packet(WIRE)


@pytest.mark.parametrize("settled", [False, True])
def test_a_shared_change_is_merged_with_the_next(known: World, settled: bool) -> None:
    change = ViewChange.changed("c", "a", {"x": 5}, {"x": 1, "y": 1}, {"x": 5, "y": 1})
    known.view["a"] = change.fields
    known.outbox.note(change.message, change.before, change)
    if settled:
        known.outbox.settle()
        known.outbox.settle()
    known.change("a", "y")
    assert known.take() == [("~a", {"x": 5, "-": ["y"]})]


def test_a_version_that_nobody_knows_is_replaced(world: World) -> None:
    world.view["a"] = {"x": 1}
    world.outbox.replace("c", "a")
    world.change("a", y=2)
    assert world.take() == [("=a", {"x": 1, "y": 2})]


def test_an_unknown_version_of_what_was_gone_and_came_is_replaced(world: World) -> None:
    world.outbox.replace("c", "a")
    world.add("a", x=1)
    assert world.take() == [("=a", {"x": 1})]


def test_an_unknown_version_of_what_is_gone_is_removed(world: World) -> None:
    world.outbox.replace("c", "a")
    assert world.take() == ["-a"]


def test_a_version_that_nobody_knows_is_replaced_once(world: World) -> None:
    world.view["a"] = {"x": 1}
    world.outbox.replace("c", "a")
    world.outbox.replace("c", "a")
    assert world.take() == [("=a", {"x": 1})]


def test_documents_can_be_forgotten_and_messages_stay(known: World) -> None:
    known.change("a", x=2)
    known.message("ready")
    known.outbox.forget_documents()
    assert known.take() == ["ready"]


def many(count: int) -> list[ViewChange]:
    return [ViewChange.added("c", str(number), {"n": number}) for number in range(count)]


def test_many_documents_wait_as_their_shared_changes(world: World) -> None:
    changes = many(3)
    world.outbox.note_all([])
    assert not world.outbox
    world.outbox.note_all(changes)
    assert world.outbox.has_documents_of("c")
    assert not world.outbox.has_documents_of("d")
    packets = world.outbox.take(lambda collection, key: None, WIRE, 10_000)
    assert packets == [change.packet(WIRE) for change in changes]


@pytest.mark.parametrize("settled", [False, True])
def test_one_of_many_that_changes_is_added_as_it_is_then(world: World, settled: bool) -> None:
    world.view.update({"0": {"n": 0}, "1": {"n": 1}, "2": {"n": 2}})
    world.outbox.note_all(many(3))
    if settled:
        world.outbox.settle()
    world.change("1", n=5)
    world.remove("2")
    assert world.take() == [("+0", {"n": 0}), ("+1", {"n": 5})]


def test_many_documents_are_taken_in_pieces_and_in_order(world: World) -> None:
    world.outbox.note_all(many(1_000))
    world.message("ready")
    taken = list[Any]()
    while world.outbox:
        taken += world.take(max_bytes=500)
    assert [name for name, *_ in taken[:-1]] == [f"+{number}" for number in range(1_000)]
    assert taken[-1] == "ready"


def test_what_comes_and_goes_unheard_waits_no_longer(world: World) -> None:
    world.add("a", n=1)
    world.remove("a")
    assert world.outbox.document_count == 0
    world.message("ready")
    world.add("a", n=2)
    assert world.take() == [("+a", {"n": 2}), "ready"]


def test_documents_that_come_and_go_while_nothing_is_read_take_no_room(world: World) -> None:
    world.add("stays", n=0)
    world.message("ready")
    for number in range(1_000):
        world.add(f"a{number}", n=number)
        world.add("again", n=number)
        world.message("updated" if number == 500 else "pong")
        world.remove(f"a{number}")
        world.remove("again")
    world.add("last", n=1)
    places = sum(len(generation.places) for generation in world.outbox.generations)
    assert places <= 2 * (2 + 64)
    taken = [one for one in world.take(10**6) if one != "pong"]
    assert taken == [("+stays", {"n": 0}), "ready", "updated", ("+last", {"n": 1})]
    assert world.outbox.document_count == 0


def test_a_document_that_came_again_keeps_its_place(world: World) -> None:
    world.add("a", n=1)
    for number in range(200):
        world.add(f"b{number}", n=1)
        world.remove(f"b{number}")
        world.remove("a")
        world.add("a", n=number)
    world.message("ready")
    assert world.take() == [("+a", {"n": 199}), "ready"]
