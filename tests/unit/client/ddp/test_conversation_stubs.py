"""The conversation with stubs: their writes over losses, catching up, and forgetting."""

from typing import Any

import pytest
from tests.unit.client.ddp.talk import Talk, subscribed

from bolide.client.events import (
    CallFinished,
    ConversationEvent,
    DocumentChange,
    SessionOpened,
    SubscriptionReady,
)
from bolide.client.limits import ClientLimits

SEED = "ab" * 10


def document(document_id: str, **fields: Any) -> DocumentChange:
    return DocumentChange("p", document_id, {"_id": document_id, **fields})


def gone(document_id: str) -> DocumentChange:
    return DocumentChange("p", document_id, None)


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    assert talk.open() == [SessionOpened()]
    return talk


def call(talk: Talk, *writes: DocumentChange, retry: bool = True) -> str:
    """Make a call whose stub wrote this, and take the events of it."""
    call_id = talk.conversation.call("m", [], random_seed=SEED, writes=writes, retry=retry)
    assert talk.conversation.events_received() == list(writes)
    return call_id


def answer(talk: Talk, call_id: str) -> list[ConversationEvent]:
    return [
        *talk.receive(msg="result", id=call_id),
        *talk.receive(msg="updated", methods=[call_id]),
    ]


def test_writes_are_told_at_once_and_the_seed_is_sent(talk: Talk) -> None:
    call_id = call(talk, document("a", n=1))
    assert talk.sent()[0]["randomSeed"] == SEED
    assert talk.added("a", n=2) == []
    assert answer(talk, call_id) == [document("a", n=2), CallFinished(call_id)]


def test_writes_stay_through_a_loss_until_the_call_was_answered(talk: Talk) -> None:
    ward = subscribed(talk)
    talk.added("a", n=1)
    sent = call(talk, document("a", n=2))
    talk.lose()
    unsent = call(talk, document("b", n=9))
    talk.open()
    talk.added("a", n=2)
    assert talk.receive(msg="ready", subs=[ward]) == []
    assert talk.conversation.is_catching_up  # for the data of the call
    talk.added("c", n=3)
    assert answer(talk, sent) == [
        document("c", n=3),
        SubscriptionReady(ward),
        CallFinished(sent),
    ]
    assert not talk.conversation.is_catching_up
    assert answer(talk, unsent) == [gone("b"), CallFinished(unsent)]


def test_call_with_a_stub_holds_up_the_others_only_for_a_time(talk: Talk) -> None:
    ward = subscribed(talk)
    sent = call(talk, document("a", n=2))
    talk.reopen()
    talk.added("b", n=1)
    talk.receive(msg="ready", subs=[ward])
    talk.wait(15)
    talk.receive(msg="ping")
    assert talk.wait(15)[1:] == [document("b", n=1), SubscriptionReady(ward)]
    assert answer(talk, sent) == [gone("a"), CallFinished(sent)]
    assert not talk.conversation.is_catching_up


def test_call_whose_updated_was_lost_is_replaced_with_the_next_documents(talk: Talk) -> None:
    ward = subscribed(talk)
    sent = call(talk, document("a", n=2))
    talk.receive(msg="result", id=sent)
    assert talk.reopen() == []
    talk.added("a", n=3)
    assert talk.receive(msg="ready", subs=[ward]) == [
        document("a", n=3),
        CallFinished(sent),
        SubscriptionReady(ward),
    ]


def test_answer_while_catching_up_changes_nothing_before_the_end(talk: Talk) -> None:
    ward = subscribed(talk)
    talk.added("a", n=1)
    sent = call(talk, document("a", n=2))
    talk.reopen()
    assert answer(talk, sent) == []
    talk.added("a", n=2)
    assert talk.receive(msg="ready", subs=[ward]) == [CallFinished(sent), SubscriptionReady(ward)]


def test_call_without_retry_fails_at_once_and_its_writes_go(talk: Talk) -> None:
    talk.added("a", n=1)
    failed = call(talk, document("a", n=2), retry=False)
    other = call(talk, document("b", n=2))
    change, event = talk.lose()
    assert change == document("a", n=1)
    assert isinstance(event, CallFinished)
    assert event.call_id == failed
    assert event.error is not None
    talk.open()
    assert answer(talk, other)[-1] == CallFinished(other)


def test_call_without_retry_fails_at_once_though_another_covers_its_document(talk: Talk) -> None:
    failed = call(talk, document("a", n=2), retry=False)
    other = call(talk, document("a", n=3))
    (event,) = talk.lose()
    assert isinstance(event, CallFinished)
    assert event.call_id == failed
    talk.open()
    assert answer(talk, other) == [gone("a"), CallFinished(other)]


def test_forgotten_call_keeps_its_writes_until_the_server_has_answered(talk: Talk) -> None:
    sent = call(talk, document("a", n=2))
    talk.conversation.forget(sent)
    assert talk.conversation.events_received() == []
    talk.added("a", n=2)
    assert answer(talk, sent) == [CallFinished(sent)]


def test_forgotten_call_is_not_sent_again_and_its_writes_go_with_the_next_documents(
    talk: Talk,
) -> None:
    ward = subscribed(talk)
    sent = call(talk, document("a", n=2))
    talk.conversation.forget(sent)
    assert talk.reopen() == []
    assert talk.sent_ids() == [("sub", ward)]
    assert talk.receive(msg="ready", subs=[ward]) == [
        gone("a"),
        CallFinished(sent),
        SubscriptionReady(ward),
    ]


def test_forgotten_call_that_was_not_sent_takes_its_writes_back() -> None:
    talk = Talk()
    unsent = call(talk, document("a", n=2))
    talk.conversation.forget(unsent)
    assert talk.conversation.events_received() == [gone("a")]
    talk.open()
    assert talk.sent() == []


def test_call_with_a_stub_stands_in_for_a_barrier(talk: Talk) -> None:
    sent = call(talk, document("a", n=2))
    talk.reopen()
    assert talk.sent_ids() == [("method", sent)]
    assert talk.conversation.is_catching_up
    assert answer(talk, sent) == [gone("a"), CallFinished(sent)]
    assert not talk.conversation.is_catching_up


def test_forgetting_the_last_that_is_awaited_ends_the_catching_up() -> None:
    talk = Talk(limits=ClientLimits(max_in_flight=1))
    talk.open()
    sent = call(talk, document("a", n=2))
    talk.lose()
    plain = talk.conversation.call("n", [])
    talk.open()
    answer(talk, sent)
    assert talk.sent_ids()[-1] == ("method", plain)
    assert not talk.conversation.is_catching_up


def test_dropping_documents_drops_what_stubs_wrote_over_them(talk: Talk) -> None:
    talk.added("a", n=1)
    sent = call(talk, document("a", n=2))
    talk.conversation.drop_documents()
    assert talk.conversation.events_received() == [document("a", n=1), gone("a")]
    assert answer(talk, sent) == [CallFinished(sent)]


def test_digests_leave_out_what_stubs_wrote(talk: Talk) -> None:
    talk.added("a", n=1)
    ward = subscribed(talk)
    talk.lose()
    talk.open_with_resync()
    before = talk.sent()[-1]["views"]
    talk.receive(msg="bolide.resync", want=[])
    talk.receive(msg="ready", subs=[ward])
    call(talk, document("a", n=2), document("b", n=2))
    talk.lose()
    talk.open_with_resync()
    assert talk.sent()[-1]["views"] == before
