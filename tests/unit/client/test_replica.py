"""The replica: what the server told, and no flicker after a reconnect."""

from typing import Any

from bolide.client.replica import DocumentChange, Replica
from bolide.core.ddp.messages import Added, Changed, Removed


def added(document_id: Any, **fields: Any) -> Added:
    return Added("p", document_id, fields)


def shown(changes: list[DocumentChange]) -> list[tuple[Any, Any]]:
    return [(change.document_id, change.document) for change in changes]


def test_messages_become_whole_documents() -> None:
    replica = Replica()
    assert shown(replica.receive(added("a", bed=1, name="Ada"))) == [
        ("a", {"_id": "a", "bed": 1, "name": "Ada"})
    ]
    assert shown(replica.receive(Changed("p", "a", {"bed": 2}, ("name",)))) == [
        ("a", {"_id": "a", "bed": 2})
    ]
    assert shown(replica.receive(Removed("p", "a"))) == [("a", None)]


def test_a_document_that_was_given_out_is_never_altered() -> None:
    replica = Replica()
    (first,) = replica.receive(added("a", bed=1))
    replica.receive(Changed("p", "a", {"bed": 2}))
    assert first.document == {"_id": "a", "bed": 1}


def test_id_inside_fields_does_not_replace_the_id() -> None:
    assert shown(Replica().receive(added("a", _id="b"))) == [("a", {"_id": "a"})]


def test_redundant_messages_are_taken_as_meteor_does() -> None:
    replica = Replica()
    assert shown(replica.receive(Changed("p", "a", {"bed": 1}, ("x",)))) == [
        ("a", {"_id": "a", "bed": 1})
    ]
    assert shown(replica.receive(added("a", name="Ada"))) == [
        ("a", {"_id": "a", "bed": 1, "name": "Ada"})
    ]
    assert replica.receive(added("a", name="Ada")) == []
    assert replica.receive(Removed("p", "b")) == []


def test_catching_up_tells_only_the_difference_in_the_end() -> None:
    replica = Replica()
    for document_id in "abc":
        replica.receive(added(document_id, bed=1))
    replica.begin_catch_up()
    assert replica.receive(added("a", bed=1)) == []
    assert replica.receive(added("b", bed=0)) == []
    assert replica.receive(Changed("p", "b", {"bed": 2})) == []
    assert replica.receive(added("d", bed=4)) == []
    assert replica.receive(added("e", bed=4)) == []
    assert replica.receive(Removed("p", "e")) == []
    assert shown(replica.finish_catch_up()) == [
        ("c", None),
        ("b", {"_id": "b", "bed": 2}),
        ("d", {"_id": "d", "bed": 4}),
    ]
    assert replica.finish_catch_up() == []
    assert shown(replica.receive(Removed("p", "a"))) == [("a", None)]


def test_what_has_not_arrived_stays_until_the_end() -> None:
    replica = Replica()
    for document_id in "abcde":
        replica.receive(added(document_id, bed=1, old=True))
    replica.begin_catch_up()
    replica.receive(added("a", bed=9))
    assert shown(replica.show_arrived()) == [("a", {"_id": "a", "bed": 9})]
    assert shown(replica.receive(added("b", bed=8))) == [("b", {"_id": "b", "bed": 8})]
    assert shown(replica.receive(Removed("p", "c"))) == [("c", None)]
    assert replica.receive(added("d", bed=1, old=True)) == []
    assert shown(replica.receive(Changed("p", "d", {"bed": 2}))) == [
        ("d", {"_id": "d", "bed": 2, "old": True})
    ]
    assert replica.show_arrived() == []
    assert shown(replica.finish_catch_up()) == [("e", None)]


def test_a_second_loss_while_catching_up_starts_again() -> None:
    replica = Replica()
    replica.receive(added("a", bed=1))
    replica.begin_catch_up()
    replica.receive(added("b", bed=1))
    replica.begin_catch_up()
    replica.receive(added("c", bed=1))
    assert shown(replica.finish_catch_up()) == [("a", None), ("c", {"_id": "c", "bed": 1})]
