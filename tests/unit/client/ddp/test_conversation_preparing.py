"""What leaves when, while the program prepares a session."""

import pytest
from tests.unit.client.ddp.talk import Talk

from bolide.client.events import (
    CallFinished,
    DocumentChange,
    GaveUp,
    PreparationLost,
    SessionOpened,
    SubscriptionReady,
)
from bolide.client.limits import ClientLimits
from bolide.core.ddp.messages import WireError
from bolide.core.errors import SessionClosed


@pytest.fixture
def talk() -> Talk:
    """Return a conversation whose first session is prepared, with one call and one document."""
    talk = Talk(prepares=True, limits=ClientLimits(max_calls=1))
    talk.open()
    assert talk.conversation.prepared(talk.now)
    subscription_id = talk.conversation.subscribe("s", [])
    talk.conversation.call("m", [])
    assert talk.sent_ids() == [("sub", subscription_id), ("method", "2")]
    talk.added("a", n=1)
    talk.receive(msg="ready", subs=[subscription_id])
    return talk


def test_its_calls_leave_at_once_and_everything_else_waits_for_its_end(talk: Talk) -> None:
    assert talk.lose() == []
    assert talk.open(bolide={"extensions": ["call"]}) == [SessionOpened()]
    assert talk.sent() == []
    log_in = talk.conversation.call_to_prepare("login", ["ann"])
    later = talk.conversation.subscribe("later", [])
    assert talk.sent() == [{"msg": "method", "method": "login", "params": ["ann"], "id": log_in}]
    # The result is enough, though documents are kept aside.
    assert talk.added("a", n=2) == []
    assert talk.conversation.is_catching_up
    assert talk.receive(msg="result", id=log_in, result=7) == [CallFinished(log_in, 7)]
    assert talk.receive(msg="updated", methods=[log_in]) == []
    # It may take longer than a catching up.
    assert talk.wait(31.0) == []
    assert talk.sent() == [{"msg": "ping"}]
    assert talk.conversation.prepared(talk.now)
    assert talk.sent_ids() == [("method", "2"), ("sub", "1"), ("sub", later)]
    assert talk.receive(msg="ready", subs=["1"]) == []
    events = talk.receive(msg="ready", subs=[later])
    assert events == [
        DocumentChange("p", "a", {"_id": "a", "n": 2}),
        SubscriptionReady("1"),
        SubscriptionReady(later),
    ]
    assert not talk.conversation.is_catching_up


def test_a_resync_follows_it(talk: Talk) -> None:
    talk.lose()
    assert talk.open_with_resync() == [SessionOpened()]
    log_in = talk.conversation.call_to_prepare("login", ["ann"])
    assert talk.sent_ids() == [("method", log_in)]
    assert talk.receive(msg="result", id=log_in) == [CallFinished(log_in)]
    assert talk.wait(11.0) == []
    assert talk.conversation.prepared(talk.now)
    *again, resync = talk.sent()
    assert [(m["msg"], m["id"]) for m in again] == [("method", "2"), ("sub", "1")]
    assert resync["msg"] == "bolide.resync"
    assert resync["subs"] == ["1"]
    assert list(resync["views"]) == ["p"]
    assert talk.receive(msg="bolide.resync", want=[]) == []
    assert talk.receive(msg="ready", subs=["1"]) == [SubscriptionReady("1")]
    assert not talk.conversation.is_catching_up


def test_a_resync_that_it_does_not_come_to_is_asked_for_again(talk: Talk) -> None:
    for _ in range(4):
        talk.lose()
        talk.open_with_resync()


def test_without_anything_to_wait_for_it_ends_with_the_universal_publications() -> None:
    talk = Talk(prepares=True)
    talk.open()
    talk.conversation.prepared(talk.now)
    talk.added("a", n=1)
    talk.lose()
    talk.open()
    talk.conversation.prepared(talk.now)
    ((kind, barrier),) = talk.sent_ids()
    assert kind == "unsub"
    assert talk.receive(msg="nosub", id=barrier) == [DocumentChange("p", "a", None)]


def test_a_failure_gives_the_connection_up_and_sends_nothing(talk: Talk) -> None:
    talk.lose()
    talk.open()
    talk.conversation.preparation_failed("on_connect failed.")
    assert talk.conversation.events_received() == [GaveUp("on_connect failed.")]
    assert not talk.conversation.prepared(talk.now)
    assert talk.lose() == [PreparationLost()]
    assert talk.sent() == []
    talk.open()
    talk.conversation.prepared(talk.now)
    assert talk.sent_ids() == [("method", "2"), ("sub", "1")]


def test_a_lost_connection_fails_its_calls_and_they_are_not_sent_again(talk: Talk) -> None:
    talk.lose()
    talk.open()
    log_in = talk.conversation.call_to_prepare("login", [])
    lost, finished = talk.lose()
    assert lost == PreparationLost()
    assert isinstance(finished, CallFinished)
    assert finished.call_id == log_in
    assert isinstance(finished.error, WireError)
    assert finished.error.error == "invocation-failed"
    with pytest.raises(SessionClosed):
        talk.conversation.call_to_prepare("login", [])
    talk.open()
    assert talk.sent() == []


def test_a_call_outside_of_it_is_refused(talk: Talk) -> None:
    with pytest.raises(SessionClosed):
        talk.conversation.call_to_prepare("login", [])
