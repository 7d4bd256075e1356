"""The conversation: which frames leave and what is told, for every order of things."""

from typing import Any

import pytest
from tests.unit.client.ddp.talk import Talk, subscribed

from bolide.client.ddp.versions import VERSIONS
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
from bolide.core.ddp.messages import CallId, WireError
from bolide.core.errors import EJSONError, LocalProtocolError, SessionBusy
from bolide.core.values import Encrypted


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    assert talk.open() == [SessionOpened()]
    return talk


# Opening


def test_connect_offers_all_versions_and_asks_for_the_extensions() -> None:
    talk = Talk()
    talk.conversation.connection_opened(0, deadline=10)
    assert talk.sent() == [
        {"msg": "connect", "version": "1", "support": ["1", "pre2"], "bolide": {}}
    ]


def test_a_second_connection_at_the_same_time_is_refused(talk: Talk) -> None:
    with pytest.raises(LocalProtocolError):
        talk.conversation.connection_opened(0, deadline=10)


def test_server_with_an_older_version_is_offered_that_one_next() -> None:
    talk = Talk()
    talk.conversation.connection_opened(talk.now, deadline=110)
    talk.sent()
    (event,) = talk.receive(msg="failed", version="pre2")
    assert isinstance(event, GaveUp)
    assert event.tries_next
    assert not event.is_refused
    talk.lose()
    talk.conversation.connection_opened(talk.now, deadline=110)
    assert talk.sent()[0]["version"] == "pre2"
    assert talk.receive(msg="connected", session="s") == [SessionOpened()]


@pytest.mark.parametrize("version", ["2", "pre1", "1"])
def test_server_with_no_common_version_is_refused(version: str) -> None:
    talk = Talk()
    talk.conversation.connection_opened(talk.now, deadline=110)
    (event,) = talk.receive(msg="failed", version=version)
    assert isinstance(event, GaveUp)
    assert event.is_refused
    assert "DDP versions 1, pre2" in event.reason


def test_server_that_wants_each_version_in_turn_is_refused() -> None:
    talk = Talk()
    refused: list[bool] = []
    for version in reversed(VERSIONS):
        talk.conversation.connection_opened(talk.now, deadline=110)
        (event,) = talk.receive(msg="failed", version=version)
        assert isinstance(event, GaveUp)
        refused.append(event.is_refused)
        talk.lose()
    assert refused == [False, True]


def test_silence_instead_of_connected_is_given_up_at_the_deadline() -> None:
    talk = Talk()
    assert talk.conversation.next_deadline() is None
    talk.conversation.connection_opened(talk.now, deadline=110)
    assert talk.conversation.next_deadline() == 110
    assert talk.wait(9.9) == []
    (event,) = talk.wait(0.1)
    assert isinstance(event, GaveUp)
    assert talk.conversation.next_deadline() is None
    assert talk.wait(100) == []
    assert talk.receive(msg="connected", session="s") == []


def test_data_before_connected_are_not_taken() -> None:
    talk = Talk()
    talk.conversation.connection_opened(talk.now, deadline=110)
    (event,) = talk.added("a")
    assert isinstance(event, Complaint)


def test_connected_and_failed_in_a_session_change_nothing(talk: Talk) -> None:
    assert talk.receive(msg="connected", session="t") == []
    assert talk.receive(msg="failed", version="1") == []


# Heartbeat


def test_silent_server_is_pinged_and_then_given_up(talk: Talk) -> None:
    assert talk.conversation.next_deadline() == talk.now + 17.5
    assert talk.wait(17.5) == []
    assert talk.sent() == [{"msg": "ping"}]
    assert talk.conversation.next_deadline() == talk.now + 15
    (event,) = talk.wait(15)
    assert event == GaveUp("The server was silent for 32.5 s.")
    assert talk.conversation.next_deadline() is None


def test_any_message_proves_the_server_alive(talk: Talk) -> None:
    talk.wait(17.5)
    assert talk.receive(msg="pong") == []
    assert talk.wait(15) == []


def test_ping_is_answered_with_its_id(talk: Talk) -> None:
    talk.receive(msg="ping", id="x")
    talk.receive(msg="ping")
    assert talk.sent() == [{"msg": "pong", "id": "x"}, {"msg": "pong"}]


def test_server_that_does_not_read_is_given_up() -> None:
    talk = Talk(limits=ClientLimits(max_unsent_frames=3))
    talk.open()
    events = [event for _ in range(5) for event in talk.receive(msg="ping")]
    assert events == [GaveUp("The server does not read what is sent to it.")]
    assert talk.sent() == []


# Frames


def test_kind_of_message_we_do_not_know_is_skipped(talk: Talk) -> None:
    assert talk.receive(msg="movedBefore") == []
    assert talk.receive(server_id="0") == []


@pytest.mark.parametrize("offending", [{"msg": "secret", "id": "1"}, {"msg": "sub"}, ["secret"], 7])
def test_error_of_the_server_is_a_complaint_without_what_it_quotes(
    talk: Talk, offending: Any
) -> None:
    text = "The server could not use a message that we sent: Bad request"
    assert talk.receive(msg="error", reason="Bad request") == [Complaint(text)]
    error = {"reason": "Bad request", "offendingMessage": offending}
    assert talk.receive(msg="error", **error) == [Complaint(text)]


def test_error_that_quotes_a_call_or_subscription_ends_it(talk: Talk) -> None:
    call_id = talk.conversation.call("m", [])
    subscription_id = talk.conversation.subscribe("s", [])
    error = WireError(400, "Parse error")
    quoted: Any = {"msg": "method", "id": call_id, "method": "m", "params": []}
    assert talk.receive(msg="error", reason="Parse error", offendingMessage=quoted)[1:] == [
        CallFinished(call_id, error=error)
    ]
    quoted = {"msg": "sub", "id": subscription_id}
    assert talk.receive(msg="error", reason="Parse error", offendingMessage=quoted)[1:] == [
        SubscriptionEnded(subscription_id, error)
    ]
    assert len(talk.receive(msg="error", reason="Parse error", offendingMessage=quoted)) == 1
    talk.reopen()
    assert [kind for kind, _ in talk.sent_ids()] == ["unsub"]


def test_call_that_another_server_does_not_take_may_have_been_done() -> None:
    talk = Talk()
    talk.open()
    call_id = talk.conversation.call("m", ["x" * 100])
    talk.lose()
    (_, event) = talk.open(bolide={"limits": {"max_message_bytes": 50}})
    assert isinstance(event, CallFinished)
    assert event.call_id == call_id
    assert event.error is not None
    assert str(event.error.reason).endswith("it may have been done.")


def test_requests_that_are_refused_make_room_for_those_behind_them() -> None:
    talk = Talk(limits=ClientLimits(max_in_flight=1))
    for _ in range(3):
        talk.conversation.call("m", ["x" * 100])
    last = talk.conversation.call("m", [])
    events = talk.open(bolide={"limits": {"max_message_bytes": 80}})
    assert [type(event) for event in events] == [SessionOpened, *[CallFinished] * 3]
    assert talk.sent_ids() == [("method", last)]


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        '{"msg":"added"}',
        '{"msg":"added","collection":"p","id":"-"}',
        '{"msg":"added","collection":"p","id":"a","fields":{"x":{"$type":"no","$value":1}}}',
    ],
)
def test_broken_message_ends_the_connection_because_a_document_would_be_missing(
    talk: Talk, frame: str
) -> None:
    (event,) = talk.receive_text(frame)
    assert isinstance(event, GaveUp)


def test_call_whose_answer_broke_the_connection_is_not_sent_again(talk: Talk) -> None:
    sent = talk.conversation.call("m", [])
    talk.receive_text('{"msg":"result","id":"1","result":{"$type":"no","$value":1}}')
    unsent = talk.conversation.call("n", [])
    (event,) = talk.lose()
    assert isinstance(event, CallFinished)
    assert event.call_id == sent
    assert event.error is not None
    assert event.error.reason == (
        "The server sent 'result' with EJSON we cannot read. Whether the method ran is not known."
    )
    talk.open()
    assert talk.sent_ids()[-1] == ("method", unsent)
    # The next loss has a reason of its own.
    talk.lose()
    talk.open()
    assert talk.sent_ids()[-1] == ("method", unsent)


def test_subscription_that_was_never_ready_fails_with_what_broke_the_connection(talk: Talk) -> None:
    ready = subscribed(talk)
    fresh = talk.conversation.subscribe("beds", [])
    talk.conversation.break_off("It was too large.")
    assert talk.lose() == [
        GaveUp("It was too large."),
        SubscriptionEnded(fresh, WireError("subscription-failed", "It was too large.")),
    ]
    talk.open()
    assert talk.sent_ids() == [("sub", ready)]


# Calls


def test_call_is_finished_after_result_and_updated_in_any_order(talk: Talk) -> None:
    first = talk.conversation.call("m", ["a", 1])
    second = talk.conversation.call("m", [])
    assert talk.sent() == [
        {"msg": "method", "method": "m", "params": ["a", 1], "id": first},
        {"msg": "method", "method": "m", "params": [], "id": second},
    ]
    assert talk.receive(msg="result", id=first, result=7) == []
    assert talk.receive(msg="updated", methods=[second]) == []
    assert talk.receive(msg="updated", methods=[first]) == [CallFinished(first, 7)]
    assert talk.receive(msg="result", id=second) == [CallFinished(second, None)]
    assert talk.receive(msg="updated", methods=[first, second]) == []
    assert talk.receive(msg="result", id=first, result=8) == []


def test_call_fails_with_the_servers_error(talk: Talk) -> None:
    call_id = talk.conversation.call("m", [])
    talk.receive(msg="updated", methods=[call_id])
    assert talk.receive(msg="result", id=call_id, error={"error": 404, "reason": "No"}) == [
        CallFinished(call_id, None, WireError(404, "No"))
    ]


def test_second_result_of_a_call_is_not_taken(talk: Talk) -> None:
    call_id = talk.conversation.call("m", [])
    talk.receive(msg="result", id=call_id, result=1)
    talk.receive(msg="result", id=call_id, result=2)
    assert talk.receive(msg="updated", methods=[call_id]) == [CallFinished(call_id, 1)]


def test_answer_to_a_call_that_was_not_sent_yet_is_not_taken() -> None:
    talk = Talk(limits=ClientLimits(max_in_flight=1))
    talk.open()
    talk.conversation.call("m", [])
    waiting = talk.conversation.call("m", [])
    assert talk.receive(msg="result", id=waiting, result=1) == []
    assert talk.receive(msg="updated", methods=[waiting]) == []


def test_call_waits_for_the_session() -> None:
    talk = Talk()
    call_id = talk.conversation.call("m", [])
    assert talk.sent() == []
    talk.open()
    assert talk.sent_ids() == [("method", call_id)]


def test_arguments_are_written_down_when_the_call_is_made() -> None:
    talk = Talk()
    params: list[Any] = [{"bed": 1}]
    talk.conversation.call("m", params)
    params[0]["bed"] = 2
    talk.open()
    assert talk.sent()[0]["params"] == [{"bed": 1}]


def test_argument_that_is_no_value_is_refused_and_nothing_is_kept(talk: Talk) -> None:
    with pytest.raises(EJSONError):
        talk.conversation.call("m", [object()])
    with pytest.raises(EJSONError):
        talk.conversation.subscribe("m", [object()])
    talk.reopen()
    assert [kind for kind, _ in talk.sent_ids()] == ["unsub"]


@pytest.mark.parametrize(("connected", "tag"), [({}, "$binary"), ({"bolide": {}}, "$type")])
def test_extensions_are_used_only_if_the_server_agreed(connected: Any, tag: str) -> None:
    talk = Talk()
    talk.conversation.call("m", [Encrypted(b"\x01")])
    talk.open(**connected)
    assert next(iter(talk.sent()[0]["params"][0])) == tag


def test_call_that_is_sent_again_has_the_same_identity(talk: Talk) -> None:
    identity = CallId("secret", "7")
    talk.lose()
    talk.open(bolide={"extensions": ["call"]})
    call_id = talk.conversation.call("m", [1], identity=identity)
    ids = {"client": "secret", "call": "7"}
    sent = {"msg": "method", "method": "m", "params": [1], "id": call_id}
    assert talk.sent()[-1] == {**sent, "bolide": ids}
    talk.lose()
    talk.open(bolide={})
    assert talk.sent()[-1] == sent
    talk.lose()
    talk.open(bolide={"extensions": ["call"]})
    assert talk.sent()[-1] == {**sent, "bolide": ids}


def test_forgotten_call_is_not_sent_and_not_told() -> None:
    talk = Talk()
    unsent = talk.conversation.call("m", [])
    talk.conversation.forget(unsent)
    talk.open()
    assert talk.sent() == []
    sent = talk.conversation.call("m", [])
    talk.conversation.forget(sent)
    assert talk.receive(msg="result", id=sent, result=1) == []
    assert talk.receive(msg="updated", methods=[sent]) == []


def test_more_calls_than_the_limit_are_refused_at_once() -> None:
    talk = Talk(limits=ClientLimits(max_calls=1))
    talk.conversation.call("m", [])
    with pytest.raises(SessionBusy, match="1 calls are unfinished"):
        talk.conversation.call("m", [])


def test_requests_leave_in_order_and_no_more_at_a_time_than_the_limit() -> None:
    talk = Talk(limits=ClientLimits(max_in_flight=2))
    talk.open()
    first = talk.conversation.subscribe("s", [])
    second = talk.conversation.call("m", [])
    third = talk.conversation.call("m", [])
    fourth = talk.conversation.subscribe("s", [])
    assert talk.sent_ids() == [("sub", first), ("method", second)]
    talk.receive(msg="ready", subs=[first])
    assert talk.sent_ids() == [("method", third)]
    talk.receive(msg="updated", methods=[second])
    assert talk.sent() == []
    talk.receive(msg="result", id=second)
    assert talk.sent_ids() == [("sub", fourth)]


# Subscriptions


def test_subscription_is_ready_once_per_session(talk: Talk) -> None:
    subscription_id = talk.conversation.subscribe("ward", ["7"])
    assert talk.sent() == [{"msg": "sub", "id": subscription_id, "name": "ward", "params": ["7"]}]
    assert talk.receive(msg="ready", subs=[subscription_id, "other"]) == [
        SubscriptionReady(subscription_id)
    ]
    assert talk.receive(msg="ready", subs=[subscription_id]) == []


def test_refused_subscription_ends_with_the_error(talk: Talk) -> None:
    subscription_id = talk.conversation.subscribe("ward", [])
    error = {"error": 404, "reason": "Subscription 'ward' not found"}
    assert talk.receive(msg="nosub", id=subscription_id, error=error) == [
        SubscriptionEnded(subscription_id, WireError(404, "Subscription 'ward' not found"))
    ]
    assert talk.receive(msg="nosub", id=subscription_id) == []
    talk.reopen()
    assert ("sub", subscription_id) not in talk.sent_ids()


def test_stopped_subscription_ends_when_its_documents_are_gone(talk: Talk) -> None:
    subscription_id = subscribed(talk)
    talk.added("a")
    talk.conversation.unsubscribe(subscription_id)
    talk.conversation.unsubscribe(subscription_id)
    assert talk.sent_ids() == [("unsub", subscription_id)]
    assert talk.receive(msg="removed", collection="p", id="a") == [DocumentChange("p", "a", None)]
    assert talk.receive(msg="nosub", id=subscription_id) == [SubscriptionEnded(subscription_id)]


def test_subscription_that_is_stopped_without_a_connection_ends_at_once() -> None:
    talk = Talk()
    subscription_id = talk.conversation.subscribe("ward", [])
    talk.conversation.unsubscribe(subscription_id)
    assert talk.conversation.events_received() == [SubscriptionEnded(subscription_id)]
    talk.open()
    assert talk.sent() == []


def test_loss_while_stopping_ends_the_subscription(talk: Talk) -> None:
    subscription_id = subscribed(talk)
    talk.conversation.unsubscribe(subscription_id)
    assert talk.lose() == [SubscriptionEnded(subscription_id)]


def test_more_subscriptions_than_the_limit_are_refused() -> None:
    talk = Talk(limits=ClientLimits(max_subscriptions=1))
    talk.conversation.subscribe("ward", [])
    with pytest.raises(SessionBusy, match="1 subscriptions are open"):
        talk.conversation.subscribe("ward", [])


# After a reconnect


def test_unanswered_calls_are_sent_again_before_subscriptions_and_new_calls(talk: Talk) -> None:
    subscription_id = subscribed(talk)
    done = talk.conversation.call("done", [])
    call_id = talk.conversation.call("m", [1])
    talk.receive(msg="updated", methods=[done, call_id])
    assert talk.receive(msg="result", id=done) == [CallFinished(done)]
    assert talk.lose() == []
    later = talk.conversation.call("n", [])
    talk.open()
    assert talk.sent_ids() == [("method", call_id), ("sub", subscription_id), ("method", later)]
    talk.receive(msg="ready", subs=[subscription_id])
    assert talk.receive(msg="result", id=call_id) == []
    assert talk.receive(msg="updated", methods=[call_id]) == [CallFinished(call_id)]


def test_call_without_retry_fails_when_the_connection_is_lost(talk: Talk) -> None:
    call_id = talk.conversation.call("m", [], retry=False)
    (event,) = talk.lose()
    assert isinstance(event, CallFinished)
    assert event.call_id == call_id
    assert event.error is not None
    assert event.error.error == "invocation-failed"
    waiting = talk.conversation.call("m", [], retry=False)
    talk.open()
    assert ("method", waiting) in talk.sent_ids()


def test_call_with_result_is_not_sent_again_and_waits_for_the_documents(talk: Talk) -> None:
    subscription_id = subscribed(talk)
    call_id = talk.conversation.call("m", [])
    talk.receive(msg="result", id=call_id, result=1)
    assert talk.reopen() == []
    assert talk.sent_ids() == [("sub", subscription_id)]
    assert talk.added("a") == []
    assert talk.receive(msg="ready", subs=[subscription_id]) == [
        DocumentChange("p", "a", {"_id": "a"}),
        CallFinished(call_id, 1),
        SubscriptionReady(subscription_id),
    ]


def test_documents_are_told_as_one_difference_when_all_subscriptions_are_back(talk: Talk) -> None:
    first, second = subscribed(talk, "a"), subscribed(talk, "b")
    talk.added("a", n=1)
    talk.added("b", n=1)
    talk.reopen()
    assert talk.conversation.is_catching_up
    assert talk.added("b", n=1) == []
    assert talk.receive(msg="ready", subs=[first]) == []
    assert talk.added("c", n=1) == []
    events = talk.receive(msg="nosub", id=second)
    assert events == [
        DocumentChange("p", "a", None),
        DocumentChange("p", "c", {"_id": "c", "n": 1}),
        SubscriptionReady(first),
        SubscriptionEnded(second),
    ]
    assert not talk.conversation.is_catching_up
    assert talk.added("d") == [DocumentChange("p", "d", {"_id": "d"})]


def test_new_subscriptions_and_calls_are_told_after_the_catch_up(talk: Talk) -> None:
    old = subscribed(talk)
    talk.reopen()
    new = talk.conversation.subscribe("new", [])
    call_id = talk.conversation.call("m", [])
    assert talk.receive(msg="result", id=call_id) == []
    assert talk.receive(msg="updated", methods=[call_id]) == []
    assert talk.receive(msg="ready", subs=[new]) == []
    assert talk.receive(msg="ready", subs=[old]) == [
        CallFinished(call_id),
        SubscriptionReady(new),
        SubscriptionReady(old),
    ]


def test_without_subscriptions_a_barrier_tells_when_universal_documents_are_back(
    talk: Talk,
) -> None:
    talk.added("user")
    talk.reopen()
    ((kind, barrier),) = talk.sent_ids()
    assert kind == "unsub"
    assert talk.added("user") == []
    assert talk.receive(msg="nosub", id=barrier) == []
    assert not talk.conversation.is_catching_up


def test_stopping_the_last_awaited_subscription_ends_the_catch_up() -> None:
    talk = Talk(limits=ClientLimits(max_in_flight=1))
    talk.open()
    first, second = subscribed(talk), subscribed(talk)
    talk.reopen()
    talk.conversation.unsubscribe(second)
    talk.conversation.unsubscribe(first)
    assert talk.conversation.is_catching_up
    talk.receive(msg="nosub", id=first)
    talk.receive(msg="nosub", id=second)
    assert not talk.conversation.is_catching_up


def test_stopping_while_offline_takes_the_documents_at_the_next_session(talk: Talk) -> None:
    subscription_id = subscribed(talk)
    talk.added("a")
    talk.lose()
    talk.conversation.unsubscribe(subscription_id)
    talk.open()
    ((_, barrier),) = talk.sent_ids()
    assert talk.receive(msg="nosub", id=barrier) == [DocumentChange("p", "a", None)]


def test_subscription_that_hangs_holds_up_the_others_only_for_a_time(talk: Talk) -> None:
    first, second = subscribed(talk, "a"), subscribed(talk, "b")
    talk.added("a", n=1)
    talk.added("b", n=1)
    talk.reopen()
    talk.added("a", n=2)
    talk.receive(msg="ready", subs=[first])
    talk.wait(14)
    talk.receive(msg="ping")
    assert talk.conversation.next_deadline() == talk.now + 16
    complaint, *rest = talk.wait(16)
    assert isinstance(complaint, Complaint)
    assert rest == [DocumentChange("p", "a", {"_id": "a", "n": 2}), SubscriptionReady(first)]
    assert talk.conversation.is_catching_up
    assert talk.added("c") == [DocumentChange("p", "c", {"_id": "c"})]
    assert talk.receive(msg="ready", subs=[second]) == [
        DocumentChange("p", "b", None),
        SubscriptionReady(second),
    ]
    assert not talk.conversation.is_catching_up


def test_second_loss_while_catching_up_keeps_what_was_held(talk: Talk) -> None:
    subscription_id = subscribed(talk)
    call_id = talk.conversation.call("m", [])
    talk.reopen()
    talk.receive(msg="result", id=call_id, result=1)
    talk.receive(msg="updated", methods=[call_id])
    assert talk.reopen() == []
    assert talk.sent_ids() == [("sub", subscription_id)]
    assert talk.receive(msg="ready", subs=[subscription_id]) == [
        CallFinished(call_id, 1),
        SubscriptionReady(subscription_id),
    ]


def test_giving_up_while_the_catch_up_ends_is_told_once() -> None:
    talk = Talk(limits=ClientLimits(max_unsent_frames=1))
    talk.open()
    talk.receive(msg="ping")
    (event,) = talk.receive(msg="ping")
    assert isinstance(event, GaveUp)
    talk.conversation.subscribe("ward", [])
    talk.conversation.unsubscribe("1")
    assert talk.conversation.events_received() == [SubscriptionEnded("1")]
