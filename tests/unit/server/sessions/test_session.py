import json
from typing import Any

import pytest

from bolide.core.ddp.messages import WireError
from bolide.core.errors import LocalProtocolError
from bolide.core.values import UNDEFINED, Encrypted
from bolide.server.limits import Limits
from bolide.server.sessions.events import (
    Event,
    MethodRequested,
    SessionClosed,
    SessionOpened,
    SubscribeRequested,
    Subscription,
    SubscriptionStopped,
    Work,
)
from bolide.server.sessions.session import Session, SessionState
from bolide.server.sessions.view.strategy import PublicationStrategy

CONNECT = '{"msg":"connect","version":"1","support":["1"]}'
PRE1 = '{"msg":"connect","version":"pre1","support":["pre1"]}'


def make_session(
    *,
    limits: Limits | None = None,
    heartbeat: tuple[float, float] | None = (15.0, 15.0),
    strategy: PublicationStrategy = PublicationStrategy.SERVER_MERGE,
    connect: str | None = CONNECT,
) -> Session:
    session = Session(
        session_id="s" * 17,
        limits=limits or Limits(),
        heartbeat=heartbeat,
        now=0.0,
        strategy_of=lambda _: strategy,
        build_id="b1",
    )
    if connect is not None:
        session.receive_frame(connect, 0.0)
        session.packets_to_send()
        session.events_received()
    return session


def sent(session: Session) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in session.packets_to_send()]


def receive(session: Session, now: float = 1.0, **message: Any) -> list[Event]:
    session.receive_frame(json.dumps(message), now)
    return session.events_received()


def subscribe(session: Session, id: str = "1", name: str = "p") -> tuple[Work, Subscription]:
    (event,) = receive(session, msg="sub", id=id, name=name, params=[1])
    assert isinstance(event, SubscribeRequested)
    return event.work, event.subscription


def subscribed(session: Session, id: str = "1") -> Subscription:
    work, subscription = subscribe(session, id)
    session.ready(subscription)
    session.finish(work)
    session.packets_to_send()
    return subscription


def call(session: Session, id: str = "m") -> Work:
    (event,) = receive(session, msg="method", id=id, method="f", params=[])
    assert isinstance(event, MethodRequested)
    return event.work


def test_connect_opens_the_session() -> None:
    session = make_session(connect=None)
    session.receive_frame(CONNECT, 1.0)
    assert sent(session) == [{"msg": "connected", "session": "s" * 17}]
    assert session.events_received() == [SessionOpened()]
    assert session.state is SessionState.OPEN


def test_only_who_asks_is_told_of_our_extensions() -> None:
    session = make_session(connect=None)
    receive(session, msg="connect", version="1", support=["1"], bolide={})
    assert sent(session)[0]["bolide"] == {
        "build": "b1",
        "extensions": ["call", "late", "move", "resync"],
        "limits": {"max_message_bytes": 1_048_576, "max_json_depth": 64},
    }
    assert session.speaks_bolide


@pytest.mark.parametrize("size", [10, 1_000])
def test_a_call_that_cannot_be_read_is_named_to_who_knows_our_extensions(size: int) -> None:
    for asks in (False, True):
        session = make_session(connect=None)
        extensions: dict[str, Any] = {"bolide": {}} if asks else {}
        receive(session, msg="connect", version="1", support=["1"], **extensions)
        sent(session)
        value = {"$type": "nope", "$value": "x" * size}
        work, _ = subscribe(session)  # it waits for this one
        receive(session, msg="method", id="1", method="f", params=[value])
        session.finish(work)
        error: dict[str, Any] = {"msg": "error", "reason": "Parse error"}
        if asks:
            error["offendingMessage"] = {"msg": "method", "id": "1"}
        assert sent(session) == [error]


def test_another_version_fails_and_closes() -> None:
    session = make_session(connect=None)
    events = receive(session, msg="connect", version="2", support=["2"])
    assert sent(session) == [{"msg": "failed", "version": "1"}]
    assert events == [SessionClosed("The client speaks another version of DDP", False)]


@pytest.mark.parametrize("frame", ['{"msg":"ping"}', '{"msg":"sub","id":1}', '{"msg":"what"}'])
def test_nothing_but_connect_may_come_first(frame: str) -> None:
    session = make_session(connect=None)
    session.receive_frame(frame, 1.0)
    assert sent(session) == [
        {"msg": "error", "reason": "Must connect first", "offendingMessage": json.loads(frame)}
    ]
    session.receive_frame(CONNECT, 1.0)
    assert session.state is SessionState.OPEN


@pytest.mark.parametrize(
    ("frame", "offending"),
    [("{", None), ("1", None), ("[]", []), ('{"a":1}', {"a": 1}), ('{"msg":""}', {"msg": ""})],
)
def test_what_is_no_message_is_a_bad_request_at_any_time(frame: str, offending: Any) -> None:
    expected = {"msg": "error", "reason": "Bad request"}
    if offending is not None:
        expected["offendingMessage"] = offending
    for connect in (None, CONNECT):
        session = make_session(connect=connect)
        session.receive_frame(frame, 1.0)
        assert sent(session) == [expected]


def test_a_second_connect_is_an_error() -> None:
    session = make_session()
    session.receive_frame(CONNECT, 1.0)
    (error,) = sent(session)
    assert error["reason"] == "Already connected"
    assert error["offendingMessage"]["msg"] == "connect"


def test_a_message_over_the_limit_is_an_error_and_nothing_else() -> None:
    session = make_session(limits=Limits(max_message_bytes=60))
    session.receive_frame('{"msg":"ping","id":"' + "ä" * 25 + '"}', 1.0)
    assert sent(session) == [
        {"msg": "error", "reason": "Message too large: 72 bytes, the limit is 60"}
    ]
    assert session.state is SessionState.OPEN


def test_a_frame_without_text_is_an_error() -> None:
    session = make_session()
    session.receive_bad_frame("Bad request", 1.0)
    assert sent(session) == [{"msg": "error", "reason": "Bad request"}]
    session.close("over")
    session.receive_bad_frame("Bad request", 1.0)
    assert sent(session) == []


def test_ping_passes_the_queue() -> None:
    session = make_session()
    call(session)
    receive(session, msg="ping", id="7")
    receive(session, msg="ping")
    receive(session, msg="pong")
    assert sent(session) == [{"msg": "pong", "id": "7"}, {"msg": "pong"}]


def test_pre1_has_no_heartbeat() -> None:
    session = make_session(connect=PRE1)
    assert session.next_deadline() is None
    receive(session, msg="ping")
    assert sent(session)[0]["reason"] == "Bad request"


def test_a_silent_peer_is_pinged_and_given_up() -> None:
    session = make_session()
    assert session.next_deadline() == 15.0
    session.tick(15.0)
    assert sent(session) == [{"msg": "ping"}]
    session.tick(29.9)
    assert session.state is SessionState.OPEN
    session.tick(30.0)
    assert session.close_reason == "The client did not answer a ping"
    assert session.next_deadline() is None


def test_any_message_proves_the_peer_alive() -> None:
    session = make_session()
    session.tick(15.0)
    receive(session, 16.0, msg="pong")
    session.tick(30.0)
    assert session.state is SessionState.OPEN


def test_heartbeats_can_be_switched_off() -> None:
    session = make_session(heartbeat=None)
    session.tick(1000.0)
    assert sent(session) == []
    assert session.next_deadline() is None


def test_connect_has_to_come_in_time() -> None:
    session = make_session(connect=None)
    assert session.next_deadline() == 10.0
    session.tick(9.0)
    assert session.state is SessionState.CONNECTING
    session.tick(10.0)
    assert session.events_received() == [SessionClosed("No connect message came in time", True)]


def test_a_subscription_is_asked_for_and_becomes_ready_once() -> None:
    session = make_session()
    work, subscription = subscribe(session)
    assert (subscription.id, subscription.name, list(subscription.params)) == ("1", "p", [1])
    session.subscriptions.added(subscription, "c", "d", {"_id": "d", "x": 1, "gone": UNDEFINED})
    session.ready(subscription)
    session.ready(subscription)
    session.finish(work)
    assert sent(session) == [
        {"msg": "added", "collection": "c", "id": "d", "fields": {"x": 1}},
        {"msg": "ready", "subs": ["1"]},
    ]


def test_an_active_id_is_ignored_and_an_ended_one_can_be_used_again() -> None:
    session = make_session()
    subscribed(session)
    assert receive(session, msg="sub", id="1", name="p") == []
    assert len(receive(session, msg="unsub", id="1")) == 1
    assert len(receive(session, msg="sub", id="1", name="p")) == 1


def test_unsub_takes_the_documents_back() -> None:
    session = make_session()
    subscription = subscribed(session)
    session.subscriptions.added(subscription, "c", "d", {"x": 1})
    session.packets_to_send()
    assert receive(session, msg="unsub", id="1") == [SubscriptionStopped(subscription)]
    assert sent(session) == [
        {"msg": "removed", "collection": "c", "id": "d"},
        {"msg": "nosub", "id": "1"},
    ]
    receive(session, msg="unsub", id="unknown")
    assert sent(session) == [{"msg": "nosub", "id": "unknown"}]


def test_what_an_ended_subscription_does_is_lost() -> None:
    session = make_session()
    subscription = subscribed(session)
    receive(session, msg="unsub", id="1")
    session.packets_to_send()
    session.subscriptions.added(subscription, "c", "d", {})
    session.subscriptions.changed(subscription, "c", "d", {"x": 1})
    session.subscriptions.removed(subscription, "c", "d")
    session.ready(subscription)
    session.nosub(subscription)
    assert sent(session) == []


def test_unsub_during_the_initial_data_sends_no_ready() -> None:
    session = make_session()
    work, subscription = subscribe(session)
    session.unblock(work)
    receive(session, msg="unsub", id="1")
    session.ready(subscription)
    session.finish(work)
    assert [message["msg"] for message in sent(session)] == ["nosub"]


def test_a_publication_can_end_itself_with_an_error() -> None:
    session = make_session()
    work, subscription = subscribe(session)
    session.subscriptions.added(subscription, "c", "d", {})
    messages = sent(session)
    session.nosub(subscription, WireError(404, "Subscription 'p' not found"))
    session.finish(work)
    messages += sent(session)
    assert [message["msg"] for message in messages] == ["added", "removed", "nosub"]
    assert messages[2]["error"]["error"] == 404
    assert session.events_received() == [SubscriptionStopped(subscription)]


def test_a_change_is_sent_for_what_the_client_holds() -> None:
    session = make_session()
    subscription = subscribed(session)
    session.subscriptions.added(subscription, "c", "d", {"x": 1, "y": 1})
    session.packets_to_send()
    session.subscriptions.changed(subscription, "c", "d", {"_id": "z", "x": 2, "y": UNDEFINED})
    assert sent(session) == [
        {"msg": "changed", "collection": "c", "id": "d", "fields": {"x": 2}, "cleared": ["y"]}
    ]
    with pytest.raises(LocalProtocolError):
        session.subscriptions.changed(subscription, "c", "other", {"x": 1})


def test_ciphertext_goes_out_as_the_peer_knows_it() -> None:
    asking = CONNECT.replace("}", ',"bolide":{}}')
    as_cse = {"$type": "cse", "$value": "AQI="}
    for connect, expected in ((CONNECT, {"$binary": "AQI="}), (asking, as_cse)):
        session = make_session(connect=connect)
        subscription = subscribed(session)
        session.subscriptions.added(subscription, "c", "d", {"x": Encrypted(b"\1\2")})
        assert sent(session)[-1]["fields"]["x"] == expected


def test_messages_wait_for_the_one_before_them() -> None:
    session = make_session()
    first = call(session, "1")
    assert receive(session, msg="method", id="2", method="f") == []
    assert receive(session, msg="unknown") == []
    assert sent(session) == []
    session.result(first, 5)
    session.finish(first)
    (second,) = session.events_received()
    assert isinstance(second, MethodRequested)
    session.finish(second.work)
    assert [message["msg"] for message in sent(session)] == ["result", "error"]


def test_unblock_lets_the_next_one_begin() -> None:
    session = make_session()
    first = call(session, "1")
    session.unblock(first)
    second = call(session, "2")
    session.finish(first)  # the end of the first does not release the second
    assert receive(session, msg="method", id="3", method="f") == []
    session.finish(second)
    assert len(session.events_received()) == 1


def test_a_call_is_answered_and_updated_once() -> None:
    session = make_session()
    work = call(session)
    session.result(work, {"a": 1})
    session.result(work, {"a": 2})
    session.updated(work)
    session.updated(work)
    assert sent(session) == [
        {"msg": "result", "id": "m", "result": {"a": 1}},
        {"msg": "updated", "methods": ["m"]},
    ]


def test_calls_in_flight_are_limited() -> None:
    session = make_session(limits=Limits(max_methods_in_flight=1))
    work = call(session, "1")
    session.unblock(work)
    receive(session, msg="method", id="2", method="f")
    refused, updated = sent(session)
    assert refused["error"]["error"] == "too-many-requests"
    assert updated == {"msg": "updated", "methods": ["2"]}
    session.updated(work)
    call(session, "3")


def test_what_calls_in_flight_hold_is_limited_until_they_end() -> None:
    session = make_session(limits=Limits(max_method_bytes=250))

    def begun(id: str, length: int = 100) -> Work | None:
        for event in receive(session, msg="method", id=id, method="f", params=["x" * length]):
            assert isinstance(event, MethodRequested)
            session.unblock(event.work)
            return event.work
        return None

    alone = begun("alone", 300)
    assert alone is not None
    assert begun("beside") is None
    refused, updated = sent(session)
    assert refused["error"]["error"] == "too-many-requests"
    assert updated == {"msg": "updated", "methods": ["beside"]}
    session.updated(alone)
    first = begun("1")
    assert first is not None
    assert begun("2") is None
    session.updated(first)
    assert begun("3") is not None


def test_subscriptions_are_limited() -> None:
    session = make_session(limits=Limits(max_subscriptions=1))
    subscribed(session, "1")
    assert receive(session, msg="sub", id="2", name="p") == []
    (nosub,) = sent(session)
    assert nosub["error"]["error"] == "too-many-requests"


def test_what_subscriptions_hold_is_limited_until_they_end() -> None:
    session = make_session(limits=Limits(max_subscription_bytes=250))
    params = ["x" * 100]

    def is_run(id: str) -> bool:
        events = receive(session, msg="sub", id=id, name="p", params=params)
        for event in events:
            assert isinstance(event, SubscribeRequested)
            session.finish(event.work)
        return bool(events)

    assert is_run("1")
    assert not is_run("2")
    (nosub,) = sent(session)
    assert nosub["error"]["error"] == "too-many-requests"
    session.begin_user_change()
    session.end_user_change()
    session.subscriptions.restart(session.subscriptions.named["1"], keeps_documents=False)
    session.events_received()
    assert not is_run("3")
    receive(session, msg="unsub", id="1")
    assert is_run("4")


@pytest.mark.parametrize("limits", [Limits(max_queued_messages=3), Limits(max_queued_bytes=4 * 50)])
def test_a_queue_that_grows_too_long_closes_the_session(limits: Limits) -> None:
    session = make_session(limits=limits)
    call(session)
    for number in range(20):
        receive(session, msg="method", id=str(number), method="a-method-of-some-length")
    assert session.close_reason == "Too many messages wait to be handled"


def test_universal_publications_have_neither_ready_nor_nosub() -> None:
    session = make_session()
    subscription = session.subscriptions.begin_universal()
    assert subscription.is_universal
    session.subscriptions.added(subscription, "c", "d", {"x": 1})
    session.ready(subscription)
    assert [message["msg"] for message in sent(session)] == ["added"]
    session.nosub(subscription)
    assert [message["msg"] for message in sent(session)] == ["removed"]
    assert session.events_received() == [SubscriptionStopped(subscription)]


def test_a_user_change_sends_the_difference_and_then_what_waited() -> None:
    session = make_session()
    old = subscribed(session)
    universal = session.subscriptions.begin_universal()
    for id in ("kept", "gone"):
        session.subscriptions.added(old, "c", id, {"x": 1})
    work = call(session)
    session.packets_to_send()
    (new,) = session.begin_user_change()
    assert session.events_received() == [SubscriptionStopped(old), SubscriptionStopped(universal)]
    assert (new.id, new.name, new.is_active, old.is_active) == ("1", "p", True, False)
    session.subscriptions.added(new, "c", "kept", {"x": 1})
    session.subscriptions.added(new, "c", "new", {"x": 2})
    session.subscriptions.changed(new, "c", "new", {"x": 3})
    session.ready(new)
    session.result(work, 1)
    assert sent(session) == []
    session.end_user_change()
    session.end_user_change()
    assert sent(session) == [
        {"msg": "removed", "collection": "c", "id": "gone"},
        {"msg": "added", "collection": "c", "id": "new", "fields": {"x": 3}},
        {"msg": "ready", "subs": ["1"]},
        {"msg": "result", "id": "m", "result": 1},
    ]


def test_a_user_change_without_ready_subscriptions_sends_no_ready() -> None:
    session = make_session()
    subscribed(session)
    session.begin_user_change()
    session.end_user_change()
    assert sent(session) == []


def test_views_that_are_not_kept_are_sent_anew() -> None:
    session = make_session(strategy=PublicationStrategy.NO_MERGE)
    old = subscribed(session)
    session.subscriptions.added(old, "c", "d", {"x": 1})
    session.packets_to_send()
    (new,) = session.begin_user_change()
    session.subscriptions.added(new, "c", "d", {"x": 1})
    session.end_user_change()
    assert [message["msg"] for message in sent(session)] == ["removed", "added"]


def test_one_user_change_at_a_time() -> None:
    session = make_session()
    session.begin_user_change()
    with pytest.raises(LocalProtocolError):
        session.begin_user_change()


def test_a_closed_session_changes_no_user() -> None:
    session = make_session()
    session.close("over")
    assert session.begin_user_change() == []
    session.end_user_change()


def test_closing_ends_every_subscription_once() -> None:
    session = make_session()
    subscription = subscribed(session)
    universal = session.subscriptions.begin_universal()
    session.disconnected()
    session.close("again")
    assert session.events_received() == [
        SubscriptionStopped(subscription),
        SubscriptionStopped(universal),
        SessionClosed("The client disconnected", False),
    ]
    session.receive_frame(CONNECT, 2.0)
    session.subscriptions.added(subscription, "c", "d", {})
    assert session.packets_to_send() == []
    assert len(session.subscriptions) == 0


def test_a_call_that_outlives_the_session_is_answered_to_nobody() -> None:
    session = make_session()
    work = call(session)
    session.disconnected()
    session.result(work, 1)
    session.finish(work)
    session.updated(work)
    assert session.packets_to_send() == []


def test_the_documents_a_client_holds_are_counted() -> None:
    session = make_session()
    session.subscriptions.added(subscribed(session), "c", "d", {})
    assert session.document_count == 1
