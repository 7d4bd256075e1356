"""Requests: written down at once, and sent a few at a time in order."""

import json
from typing import Any

from bolide.client.ddp.agreement import NOTHING_AGREED, Agreement
from bolide.client.ddp.requests import Call, RequestQueue, SubscriptionRequest, write_down
from bolide.core.ddp.messages import CallId, Method, Sub
from bolide.core.values import Encrypted


def call(name: str = "m") -> Call:
    return Call(write_down(Method("1", name)), retry=True)


PLAIN, BOLIDE = NOTHING_AGREED, Agreement(speaks_bolide=True)
CALLING = Agreement(speaks_bolide=True, extensions=frozenset({"call"}))


def test_message_is_written_at_once_for_each_kind_of_server() -> None:
    params: list[Any] = [Encrypted(b"\x01")]
    frames = write_down(Sub("1", "s", params))
    params.clear()
    tags = [
        next(iter(json.loads(frames.for_server(server))["params"][0]))
        for server in (PLAIN, BOLIDE, CALLING)
    ]
    assert tags == ["$binary", "$type", "$type"]
    same = write_down(Sub("1", "s", []))
    assert same.bolide is same.plain


def test_identity_of_a_call_goes_only_to_a_server_that_offers_the_extension() -> None:
    frames = write_down(Method("1", "m", call=CallId("secret", "7")))
    written = [json.loads(frames.for_server(server)) for server in (PLAIN, BOLIDE, CALLING)]
    assert ["bolide" in message for message in written] == [False, False, True]
    assert written[2]["bolide"] == {"client": "secret", "call": "7"}


def test_requests_leave_in_order_and_wait_for_answers() -> None:
    queue = RequestQueue(limit=2)
    requests = [call(), SubscriptionRequest(write_down(Sub("2", "s"))), call(), call()]
    for number, request in enumerate(requests):
        queue.add(str(number), request)
    queue.discard("2")
    queue.discard("9")
    assert [queue.next(), queue.next(), queue.next()] == [requests[0], requests[1], None]
    assert [request.is_sent for request in requests] == [True, True, False, False]
    queue.answered("1")
    assert [queue.next(), queue.next()] == [requests[3], None]


def test_after_a_loss_what_was_sent_goes_first() -> None:
    queue = RequestQueue(limit=1)
    sent, waiting = call("a"), call("b")
    queue.add("1", sent)
    queue.add("2", waiting)
    assert queue.next() is sent
    queue.connection_lost({"1": sent})
    assert not sent.is_sent
    assert queue.next() is sent
    queue.answered("1")
    assert queue.next() is waiting


def test_before_a_resync_leaves_what_is_sent_again_and_the_subscriptions_behind_it() -> None:
    queue = RequestQueue(limit=1)
    sent, subscription = call("a"), SubscriptionRequest(write_down(Sub("2", "s")))
    requests = [sent, subscription, call("never sent"), subscription]
    for number, request in enumerate(requests):
        queue.add(str(number), request)
    assert queue.next() is sent
    queue.connection_lost({"0": sent})
    queue.connection_lost({})
    assert [queue.next_of_resync() for _ in range(3)] == [sent, subscription, None]
    queue.answered("0")
    assert queue.next() is None
    queue.answered("1")
    assert queue.next() is requests[2]
    assert RequestQueue(limit=1).next_of_resync() is None
