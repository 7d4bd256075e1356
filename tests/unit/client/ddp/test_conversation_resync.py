"""The conversation in a resync: digests go out, differences come back, nothing flickers."""

from typing import Any

import pytest
from tests.unit.client.ddp.talk import Talk, subscribed

from bolide.client.events import (
    CallFinished,
    Complaint,
    DocumentChange,
    GaveUp,
    SessionOpened,
    SubscriptionEnded,
    SubscriptionReady,
)
from bolide.client.limits import ClientLimits
from bolide.core.ddp.digests import digest_text, document_digest, view_digest
from bolide.core.ddp.messages import WireError

BOLIDE = {"build": "b", "extensions": ["resync"]}


def document(document_id: str, **fields: Any) -> DocumentChange:
    return DocumentChange("p", document_id, {"_id": document_id, **fields})


def view(**documents: Any) -> str:
    return digest_text(view_digest({id: document_digest(f) for id, f in documents.items()}))


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    talk.open(bolide=BOLIDE)
    return talk


def come_back(talk: Talk, **connected: Any) -> None:
    talk.lose()
    talk.conversation.connection_opened(talk.now, deadline=talk.now + 10)
    assert talk.sent()[0]["bolide"] == {"resync": True}
    talk.receive(msg="connected", session="s", **(connected or {"bolide": BOLIDE}))


def test_client_that_shows_nothing_asks_for_no_resync(talk: Talk) -> None:
    talk.added("a")
    talk.receive(msg="removed", collection="p", id="a")
    talk.lose()
    talk.conversation.connection_opened(talk.now, deadline=talk.now + 10)
    assert talk.sent()[0]["bolide"] == {}


def test_unchanged_view_costs_one_digest_and_tells_nothing(talk: Talk) -> None:
    ward = subscribed(talk)
    talk.added("a", n=1)
    come_back(talk)
    assert talk.conversation.is_catching_up
    sub, resync = talk.sent()
    assert sub["msg"] == "sub"
    assert resync == {"msg": "bolide.resync", "subs": [ward], "views": {"p": view(a={"n": 1})}}
    assert talk.receive(msg="bolide.resync", want=[]) == []
    assert talk.sent() == []
    assert talk.receive(msg="ready", subs=[ward]) == [SubscriptionReady(ward)]
    assert not talk.conversation.is_catching_up
    assert talk.receive(msg="changed", collection="p", id="a", fields={"m": 2}) == [
        document("a", n=1, m=2)
    ]


def test_difference_is_told_at_once_when_everything_is_answered(talk: Talk) -> None:
    ward, other = subscribed(talk), subscribed(talk, "other")
    for document_id in "abc":
        talk.added(document_id, n=1)
    come_back(talk)
    talk.sent()
    talk.receive(msg="bolide.resync", want=["p"])
    (have,) = talk.sent()
    digest = digest_text(document_digest({"n": 1}))
    assert have == {"msg": "bolide.resync", "have": {"p": dict.fromkeys("abc", digest)}}
    assert talk.receive(
        msg="added", collection="p", id="a", fields={"m": 2}, replace=True
    ) == talk.receive(msg="removed", collection="p", id="b")
    assert talk.added("d", n=4) == []
    assert talk.receive(msg="ready", subs=[ward]) == []
    assert talk.receive(msg="nosub", id=other, error={"error": 403}) == [
        DocumentChange("p", "b", None),
        document("a", m=2),
        document("d", n=4),
        SubscriptionReady(ward),
        SubscriptionEnded(other, WireError(403)),
    ]


def test_digests_go_in_chunks() -> None:
    talk = Talk(limits=ClientLimits(max_resync_chunk_bytes=120))
    talk.open(bolide=BOLIDE)
    subscribed(talk)
    for document_id in "abcde":
        talk.added(document_id, n=1)
    come_back(talk)
    talk.sent()
    talk.receive(msg="bolide.resync", want=["p"])
    chunks = talk.sent()
    assert [chunk.get("more", False) for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert [id for chunk in chunks for id in chunk["have"]["p"]] == list("abcde")


def test_all_that_is_sent_again_leaves_before_the_question_whatever_the_limit() -> None:
    talk = Talk(limits=ClientLimits(max_in_flight=1))
    talk.open(bolide=BOLIDE)
    first, second = subscribed(talk), subscribed(talk)
    talk.added("a")
    call_id = talk.conversation.call("m", [])
    talk.lose()
    third = talk.conversation.subscribe("third", [])
    later_call = talk.conversation.call("n", [])
    later = talk.conversation.subscribe("later", [])
    come_back(talk)
    sent = talk.sent()
    assert [m.get("id") for m in sent] == [call_id, first, second, third, None]
    assert sent[-1]["subs"] == [first, second, third]
    talk.receive(msg="bolide.resync", want=[])
    talk.receive(msg="ready", subs=[first, second, third])
    assert talk.sent() == []
    talk.receive(msg="result", id=call_id)
    assert talk.sent_ids() == [("method", later_call)]
    talk.receive(msg="result", id=later_call)
    assert talk.sent_ids() == [("sub", later)]
    assert talk.conversation.is_catching_up
    talk.receive(msg="ready", subs=[later])
    assert not talk.conversation.is_catching_up


def test_server_that_does_not_offer_it_sends_everything_anew(talk: Talk) -> None:
    ward = subscribed(talk)
    talk.added("a", n=1)
    talk.added("b", n=1)
    come_back(talk, bolide={"extensions": ["call"]})
    assert talk.sent_ids() == [("sub", ward)]
    talk.added("a", n=2)
    assert talk.receive(msg="ready", subs=[ward]) == [
        DocumentChange("p", "b", None),
        document("a", n=2),
        SubscriptionReady(ward),
    ]


@pytest.mark.parametrize("want", [[], ["p"]])
def test_without_subscriptions_a_barrier_tells_the_end(talk: Talk, want: list[str]) -> None:
    talk.added("user", n=1)
    come_back(talk)
    assert [m["msg"] for m in talk.sent()] == ["bolide.resync"]
    talk.receive(msg="bolide.resync", want=want)
    *_, barrier = talk.sent()
    talk.receive(msg="added", collection="p", id="user", fields={"n": 2}, replace=True)
    assert talk.receive(msg="nosub", id=barrier["id"]) == [document("user", n=2)]
    assert not talk.conversation.is_catching_up


def test_void_drops_what_was_shown_at_once(talk: Talk) -> None:
    ward = subscribed(talk)
    talk.added("a", n=1)
    come_back(talk)
    assert talk.receive(msg="bolide.resync", void=True) == [DocumentChange("p", "a", None)]
    assert talk.receive(msg="bolide.resync", void=True) == []
    assert talk.added("b", n=2) == []
    assert talk.receive(msg="ready", subs=[ward]) == [
        document("b", n=2),
        SubscriptionReady(ward),
    ]


def test_void_after_the_digests_were_told_drops_as_well(talk: Talk) -> None:
    ward = subscribed(talk)
    talk.added("a", n=1)
    come_back(talk)
    talk.receive(msg="bolide.resync", want=["p"])
    assert talk.receive(msg="bolide.resync", void=True) == [DocumentChange("p", "a", None)]
    talk.receive(msg="ready", subs=[ward])
    assert not talk.conversation.is_catching_up


def test_void_without_subscriptions_ends_with_a_barrier(talk: Talk) -> None:
    talk.added("user")
    come_back(talk)
    talk.sent()
    talk.receive(msg="bolide.resync", void=True)
    ((_, barrier),) = talk.sent_ids()
    talk.added("user", n=2)
    assert talk.receive(msg="nosub", id=barrier) == [document("user", n=2)]


def test_documents_dropped_for_another_person_are_not_asked_for(talk: Talk) -> None:
    ward = subscribed(talk)
    talk.added("a", n=1)
    talk.lose()
    talk.conversation.drop_documents()
    assert talk.conversation.events_received() == [DocumentChange("p", "a", None)]
    talk.open(bolide=BOLIDE)
    talk.added("b", n=1)
    assert talk.receive(msg="ready", subs=[ward]) == [document("b", n=1), SubscriptionReady(ward)]


def test_message_of_a_resync_that_nobody_asked_for_changes_nothing(talk: Talk) -> None:
    talk.added("a")
    (event,) = talk.receive(msg="bolide.resync", want=["p"])
    assert isinstance(event, Complaint)
    assert talk.receive(msg="bolide.resync", void=True) == []
    assert talk.sent() == []


def test_server_that_does_not_answer_is_met_again_without_a_resync(talk: Talk) -> None:
    ward = subscribed(talk)
    talk.added("a", n=1)
    come_back(talk)
    talk.wait(15)
    talk.receive(msg="ping")
    (event,) = talk.wait(15)
    assert event == GaveUp("The server did not answer the resync.", tries_next=True)
    talk.lose()
    assert talk.open(bolide=BOLIDE) == [SessionOpened("b")]
    talk.added("a", n=2)
    assert talk.receive(msg="ready", subs=[ward]) == [document("a", n=2), SubscriptionReady(ward)]
    come_back(talk)


def test_server_that_refuses_the_question_is_met_again_without_a_resync(talk: Talk) -> None:
    subscribed(talk)
    talk.added("a", n=1)
    come_back(talk)
    complaint, event = talk.receive(msg="error", reason="Malformed resync")
    assert isinstance(complaint, Complaint)
    assert isinstance(event, GaveUp)
    talk.lose()
    talk.open(bolide=BOLIDE)


def test_subscription_that_hangs_holds_up_the_others_only_for_a_time(talk: Talk) -> None:
    first, second = subscribed(talk, "a"), subscribed(talk, "b")
    talk.added("a", n=1)
    talk.added("b", n=1)
    come_back(talk)
    talk.receive(msg="bolide.resync", want=["p"])
    talk.receive(msg="added", collection="p", id="a", fields={"n": 2}, replace=True)
    talk.receive(msg="removed", collection="p", id="b")
    talk.receive(msg="ready", subs=[first])
    talk.wait(15)
    talk.receive(msg="ping")
    _, *rest = talk.wait(15)
    assert rest == [document("a", n=2), SubscriptionReady(first)]
    assert talk.added("b", n=3) == [document("b", n=3)]
    assert talk.receive(msg="ready", subs=[second]) == [SubscriptionReady(second)]


def test_second_loss_in_a_resync_asks_again_with_what_is_shown(talk: Talk) -> None:
    ward = subscribed(talk)
    talk.added("a", n=1)
    call_id = talk.conversation.call("m", [])
    come_back(talk)
    talk.receive(msg="bolide.resync", want=["p"])
    talk.receive(msg="removed", collection="p", id="a")
    talk.receive(msg="result", id=call_id)
    talk.receive(msg="updated", methods=[call_id])
    talk.sent()
    come_back(talk)
    assert talk.sent()[-1]["views"] == {"p": view(a={"n": 1})}
    talk.receive(msg="bolide.resync", want=[])
    assert talk.receive(msg="ready", subs=[ward]) == [
        CallFinished(call_id),
        SubscriptionReady(ward),
    ]


def test_server_that_closes_two_resyncs_is_met_again_without_one(talk: Talk) -> None:
    ward = subscribed(talk)
    talk.added("a", n=1)
    come_back(talk)
    come_back(talk)
    talk.lose()
    talk.open(bolide=BOLIDE)
    talk.added("a", n=1)
    talk.receive(msg="ready", subs=[ward])
    come_back(talk)
    talk.receive(msg="bolide.resync", want=[])
    talk.receive(msg="ready", subs=[ward])
    come_back(talk)
    come_back(talk)


def test_more_documents_than_a_server_lets_name_are_not_asked_for() -> None:
    talk = Talk(limits=ClientLimits(max_resync_documents=1))
    talk.open(bolide=BOLIDE)
    talk.added("a")
    come_back(talk)
    *_, question = talk.sent()
    assert question["msg"] == "bolide.resync"
    talk.receive(msg="bolide.resync", want=[])
    talk.receive(msg="nosub", id=talk.sent()[-1]["id"])
    talk.added("b")
    talk.lose()
    talk.open(bolide=BOLIDE)
