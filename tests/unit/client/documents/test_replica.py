"""The replica: what the server told, and no flicker after a reconnect."""

from typing import Any

from bolide.client.documents.replica import Replica
from bolide.client.events import DocumentChange
from bolide.core.ddp.digests import document_digest
from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.values import ObjectId


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


# Resync


def digest_of(**fields: Any) -> bytes:
    return document_digest(fields)


def test_digests_are_of_what_is_shown_and_follow_each_change() -> None:
    replica = Replica()
    assert replica.document_count == 0
    replica.receive(added("a", bed=1))
    replica.receive(added(ObjectId("5f" * 12), bed=2))
    replica.receive(Added("q", "x", {}))
    replica.receive(Removed("q", "x"))
    assert replica.document_count == 2
    digests = {"p": {"a": digest_of(bed=1), "5f" * 12: digest_of(bed=2)}}
    assert replica.digests() == replica.digests() == digests
    replica.receive(Changed("p", "a", {"bed": 3}))
    assert replica.digests()["p"]["a"] == digest_of(bed=3)
    replica.receive(Removed("p", "a"))
    assert replica.digests() == {"p": {"5f" * 12: digest_of(bed=2)}}


def test_digest_is_of_the_last_that_came_even_of_equals() -> None:
    replica = Replica()
    replica.receive(added("a", n=2.0**60))
    replica.begin_catch_up()
    replica.receive(added("a", n=2**60))
    assert replica.finish_catch_up() == []
    assert replica.digests() == {"p": {"a": digest_of(n=2**60)}}


def test_resync_keeps_what_is_not_mentioned_and_replaces_as_a_whole() -> None:
    replica = Replica()
    for document_id in "abcd":
        replica.receive(added(document_id, bed=1))
    replica.begin_catch_up(resync=True)
    assert replica.receive(Added("p", "a", {"name": "Ada"}, replace=True)) == []
    assert replica.receive(added("b", name="Bob")) == []
    assert replica.receive(Removed("p", "c")) == []
    assert replica.receive(Changed("p", "d", {"name": "Dan"})) == []
    assert replica.receive(added("e", name="Eve")) == []
    assert sorted(shown(replica.finish_catch_up())) == [
        ("a", {"_id": "a", "name": "Ada"}),
        ("b", {"_id": "b", "name": "Bob"}),
        ("c", None),
        ("d", {"_id": "d", "bed": 1, "name": "Dan"}),
        ("e", {"_id": "e", "name": "Eve"}),
    ]


def test_document_is_replaced_also_when_nothing_is_kept_aside() -> None:
    replica = Replica()
    replica.receive(added("a", bed=1))
    assert shown(replica.receive(Added("p", "a", {"name": "Ada"}, replace=True))) == [
        ("a", {"_id": "a", "name": "Ada"})
    ]


def test_dropping_lets_everything_go_also_what_was_kept_aside() -> None:
    replica = Replica()
    replica.receive(added("a", bed=1))
    replica.begin_catch_up(resync=True)
    assert shown(replica.drop()) == [("a", None)]
    replica.receive(added("b", bed=1))
    assert shown(replica.finish_catch_up()) == [("b", {"_id": "b", "bed": 1})]
    assert shown(replica.drop()) == [("b", None)]
    assert replica.document_count == 0
    assert replica.digests() == {}
