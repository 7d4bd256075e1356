"""The overlay: what stubs wrote is shown until the server has answered, and never by half."""

from typing import Any

import pytest

from bolide.client.documents.overlay import Overlay
from bolide.client.documents.replica import Replica
from bolide.client.events import CallFinished, ConversationEvent, DocumentChange
from bolide.core.ddp.messages import Added, Changed, Removed


def write(document_id: str, **fields: Any) -> DocumentChange:
    return DocumentChange("p", document_id, {"_id": document_id, **fields})


def removed(document_id: str) -> DocumentChange:
    return DocumentChange("p", document_id, None)


class Layers:
    """A replica with an overlay, and the view that results."""

    def __init__(self) -> None:
        self.replica = Replica()
        self.overlay = Overlay(self.replica)
        self.view: dict[str, Any] = {}
        self.outcomes: list[str] = []

    def told(self, message: Added | Changed | Removed) -> None:
        self.take(self.overlay.let_through(self.replica.receive(message)))

    def call(self, call_id: str, *writes: DocumentChange) -> None:
        self.take(self.overlay.write(call_id, writes))

    def finish(self, call_id: str) -> None:
        self.take(self.overlay.finish(CallFinished(call_id)))

    def take(self, events: Any) -> None:
        event: ConversationEvent
        for event in events:
            if isinstance(event, CallFinished):
                self.outcomes.append(event.call_id)
            else:
                assert isinstance(event, DocumentChange)
                if event.document is None:
                    del self.view[event.document_id]
                else:
                    assert self.view.get(event.document_id) != event.document
                    document = dict(event.document)
                    self.view[document.pop("_id")] = document


@pytest.fixture
def layers() -> Layers:
    layers = Layers()
    layers.told(Added("p", "a", {"n": 1}))
    layers.told(Added("p", "b", {"n": 1}))
    return layers


def test_write_is_shown_and_replaced_by_what_the_server_has(layers: Layers) -> None:
    layers.call("1", write("a", n=2), write("new", n=1))
    assert layers.view == {"a": {"n": 2}, "b": {"n": 1}, "new": {"n": 1}}
    layers.told(Changed("p", "a", {"n": 2}))
    layers.told(Added("p", "new", {"n": 3}))
    assert layers.view["new"] == {"n": 1}
    layers.finish("1")
    assert layers.view == {"a": {"n": 2}, "b": {"n": 1}, "new": {"n": 3}}
    assert layers.outcomes == ["1"]


def test_rejected_call_leaves_nothing(layers: Layers) -> None:
    layers.call("1", write("a", n=2), write("new", n=1), removed("b"))
    assert layers.view == {"a": {"n": 2}, "new": {"n": 1}}
    layers.finish("1")
    assert layers.view == {"a": {"n": 1}, "b": {"n": 1}}


def test_write_that_changes_nothing_is_not_told(layers: Layers) -> None:
    layers.call("1", write("a", n=1), removed("none"))
    assert layers.overlay.covers("1")
    layers.finish("1")
    assert not layers.overlay.covers("1")


def test_call_without_a_stub_is_told_at_once(layers: Layers) -> None:
    layers.call("1")
    assert not layers.overlay.covers("1")
    layers.finish("1")
    assert layers.outcomes == ["1"]


@pytest.mark.parametrize("order", ["12", "21"])
def test_documents_of_overlapping_calls_are_released_together(layers: Layers, order: str) -> None:
    layers.call("1", write("a", n=2), write("b", n=2))
    layers.call("2", write("b", n=3))
    shown = {"a": {"n": 2}, "b": {"n": 3}}
    assert layers.view == shown
    layers.finish(order[0])
    assert layers.view == shown
    assert layers.outcomes == []
    layers.finish(order[1])
    assert layers.view == {"a": {"n": 1}, "b": {"n": 1}}
    assert layers.outcomes == list(order)


def test_calls_that_share_no_document_do_not_wait_for_each_other(layers: Layers) -> None:
    layers.call("1", write("a", n=2))
    layers.call("2", write("b", n=2))
    layers.finish("1")
    assert layers.view == {"a": {"n": 1}, "b": {"n": 2}}
    assert layers.outcomes == ["1"]


def test_call_waits_for_a_document_of_which_the_server_told_a_change_since(layers: Layers) -> None:
    layers.call("slow", write("a", n=2))
    layers.told(Changed("p", "a", {"n": 5}))
    layers.call("before")
    layers.finish("before")
    assert layers.outcomes == ["before"]
    layers.call("1")
    layers.told(Changed("p", "a", {"n": 6}))
    layers.finish("1")
    assert layers.outcomes == ["before"]
    layers.finish("slow")
    assert layers.outcomes == ["before", "1", "slow"]
    assert layers.view["a"] == {"n": 6}


def test_abandoned_call_uncovers_its_documents_and_tells_nothing(layers: Layers) -> None:
    layers.call("1", write("a", n=2))
    layers.call("2", write("a", n=3))
    layers.finish("2")
    layers.take(layers.overlay.abandon("1"))
    assert layers.view["a"] == {"n": 1}
    assert layers.outcomes == ["2"]


def test_dropping_uncovers_everything_and_the_calls_end_all_the_same(layers: Layers) -> None:
    layers.call("1", write("a", n=2))
    layers.call("2", write("a", n=3), write("b", n=1))
    layers.finish("1")
    layers.take(layers.overlay.drop())
    assert layers.view == {"a": {"n": 1}, "b": {"n": 1}}
    layers.finish("2")
    assert layers.outcomes == ["1", "2"]
