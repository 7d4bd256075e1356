"""The view: layers of documents, and the order in which the program is told."""

from bolide.client.documents.view import View
from bolide.client.events import CallFinished, DocumentChange, SubscriptionReady
from bolide.core.ddp.digests import document_digest
from bolide.core.ddp.messages import Added


def document(n: int) -> DocumentChange:
    return DocumentChange("p", "a", {"_id": "a", "n": n})


def test_outcome_comes_after_the_documents_it_uncovers() -> None:
    view = View()
    assert view.call_made("1", [document(1)]) == [document(1)]
    assert view.shows_stub_of("1")
    assert view.receive(Added("p", "a", {"n": 2})) == []
    assert view.digests() == {"p": {"a": document_digest({"n": 2})}}
    assert view.tell(CallFinished("1")) == [document(2), CallFinished("1")]
    assert not view.shows_stub_of("1")


def test_while_catching_up_nothing_is_told_until_the_end() -> None:
    view = View()
    view.call_made("1", [document(1)])
    view.begin_catch_up(["7"], 30.0, resync=False)
    assert view.receive(Added("p", "a", {"n": 2})) == []
    assert view.tell(SubscriptionReady("7")) == ()
    assert view.tell(CallFinished("1")) == ()
    assert view.document_count == 0
    view.catch_up.answered("7")
    assert view.finish_catch_up() == [SubscriptionReady("7"), document(2), CallFinished("1")]


def test_at_the_deadline_what_has_arrived_is_told() -> None:
    view = View()
    view.begin_catch_up(["7"], 30.0, resync=False)
    view.receive(Added("p", "a", {"n": 2}))
    view.tell(SubscriptionReady("8"))
    assert view.show_arrived() == [document(2), SubscriptionReady("8")]
    assert view.catch_up.is_on


def test_dropping_and_abandoning_leave_nothing() -> None:
    view = View()
    view.receive(Added("p", "a", {"n": 2}))
    view.call_made("1", [document(3)])
    view.call_made("2", [document(4)])
    assert view.call_abandoned("2") == []
    assert view.drop() == [document(2), DocumentChange("p", "a", None)]
    assert view.document_count == 0
