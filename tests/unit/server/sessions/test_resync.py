"""Resyncs: what is waited for, and what the client named."""

import json
from typing import Any

from bolide.core.ddp.digests import digest_text, document_digest, view_digest
from bolide.core.ddp.messages import Have, Resync, Want
from bolide.server.limits import Limits
from bolide.server.sessions.events import DigestsWanted, SubscribeRequested, Subscription
from bolide.server.sessions.resync import ResyncPhase, ResyncRun
from bolide.server.sessions.session import Session
from bolide.server.sessions.transport import PLAIN, Wire
from bolide.server.sessions.view.client_view import DIGESTS_AT_ONCE, ClientView
from bolide.server.sessions.view.strategy import PublicationStrategy

DIGEST = bytes(16)


def make_run(limits: Limits | None = None) -> ResyncRun:
    view = ClientView(lambda _: PublicationStrategy.SERVER_MERGE, Wire(PLAIN), lambda packets: None)
    return ResyncRun(view, limits or Limits(), 1.0)


def make_wanting_run(limits: Limits | None = None) -> ResyncRun:
    """Make one that waits for the documents of ``c``."""
    run = make_run(limits)
    assert run.receive(Resync((), {"c": DIGEST}), 50, 2.0)
    assert run.compare(3.0) == Want(("c",))
    return run


def test_what_is_settled_is_not_asked_about_again() -> None:
    asked: list[str] = []
    run = make_run()
    run.receive(Resync(tuple("abcd"), {}), 50, 2.0)

    def is_awaited(id: str) -> bool:
        asked.append(id)
        return id == "b"

    assert not run.is_settled(is_awaited)
    assert not run.is_settled(is_awaited)
    assert asked == ["d", "c", "b", "b"]
    assert run.is_settled(lambda id: False)
    assert run.is_settled(lambda id: True)


def test_each_phase_has_its_message_and_its_time() -> None:
    limits = Limits(resync_start_timeout_s=60, resync_timeout_s=10)
    run = make_run(limits)
    assert not run.receive(Have({}, more=False), 20, 2.0)
    assert (run.deadline, run.is_settled(lambda id: False)) == (61.0, False)
    assert run.receive(Resync((), {"c": DIGEST}), 50, 2.0)
    assert not run.receive(Resync((), {}), 20, 2.0)
    assert run.deadline == 12.0
    assert run.compare(3.0) == Want(("c",))
    assert (run.deadline, run.is_settled(lambda id: False)) == (13.0, False)
    assert run.receive(Have({}, more=False), 20, 4.0)
    assert run.phase is ResyncPhase.DONE


def test_where_nothing_differs_nothing_is_asked_for() -> None:
    run = make_run()
    run.receive(Resync((), {}), 50, 2.0)
    assert run.compare(3.0) == Want(())
    assert run.phase is ResyncPhase.DONE


def test_documents_are_kept_of_wanted_collections_only() -> None:
    run = make_wanting_run()
    run.receive(Have({"c": {"a": DIGEST}, "other": {"b": DIGEST}}, more=True), 70, 4.0)
    run.receive(Have({"c": {"d": DIGEST}}, more=False), 30, 4.0)
    assert run.have == {"c": {"a": DIGEST, "d": DIGEST}}


def test_chunks_are_counted_whatever_they_hold() -> None:
    ids = make_wanting_run(Limits(max_resync_ids=2))
    ids.receive(Have({"c": {"a": DIGEST}, "other": {"b": DIGEST}}, more=True), 70, 4.0)
    assert ids.phase is ResyncPhase.WANTED
    ids.receive(Have({"other": {"b": DIGEST}}, more=True), 70, 4.0)
    size = make_wanting_run(Limits(max_resync_bytes=100))
    size.receive(Have({}, more=True), 100, 4.0)
    assert size.phase is ResyncPhase.WANTED
    size.receive(Have({}, more=True), 1, 4.0)
    for run in (ids, size):
        assert run.phase is ResyncPhase.BROKEN
        assert run.fault == "You hold more documents than a resync may name"


def test_a_client_that_does_not_go_on_broke_its_word() -> None:
    run = make_run()
    run.expire()
    assert run.phase is ResyncPhase.BROKEN


class Returning:
    """A client that comes back, and a subscription that publishes by hand."""

    def __init__(self) -> None:
        self.session = Session(
            session_id="s" * 17,
            limits=Limits(),
            heartbeat=None,
            now=0.0,
            strategy_of=lambda _: PublicationStrategy.SERVER_MERGE,
        )
        self.receive(msg="connect", version="1", support=["1"], bolide={"resync": True})
        self.receive(msg="sub", id="1", name="p")
        *_, requested = self.session.events_received()
        assert isinstance(requested, SubscribeRequested)
        self.subscription: Subscription = requested.subscription
        self.session.ready(requested.subscription)
        self.session.finish(requested.work)
        self.session.packets_to_send()

    def receive(self, **message: Any) -> None:
        self.session.receive_frame(json.dumps(message), 1.0)

    def add(self, count: int) -> dict[str, bytes]:
        for number in range(count):
            self.session.subscriptions.added(self.subscription, "c", str(number), {"n": number})
        return {str(number): document_digest({"n": number}) for number in range(count)}

    def come_back(self, digests: dict[str, bytes]) -> None:
        self.receive(
            msg="bolide.resync", subs=["1"], views={"c": digest_text(view_digest(digests))}
        )

    def sent(self) -> list[Any]:
        return [json.loads(packet) for packet in self.session.packets_to_send()]

    def go_on(self) -> int:
        """Do what is asked for, and return how often it was."""
        turns = 0
        while events := self.session.events_received():
            assert events == [DigestsWanted()]
            assert self.sent() == []
            turns += 1
            self.session.make_digests()
        return turns


UNCHANGED: dict[str, Any] = {"msg": "bolide.resync", "want": []}


def test_few_documents_are_compared_at_once() -> None:
    client = Returning()
    client.come_back(client.add(DIGESTS_AT_ONCE - 1))
    assert client.session.events_received() == []
    assert client.sent()[0] == UNCHANGED


def test_many_documents_are_digested_in_slices() -> None:
    client = Returning()
    client.come_back(client.add(3 * DIGESTS_AT_ONCE + 1))
    assert client.go_on() == 3
    assert client.sent()[0] == UNCHANGED
    assert client.session.next_deadline() is None


def test_what_changes_between_slices_is_compared_as_it_is_then() -> None:
    client = Returning()
    digests = client.add(2 * DIGESTS_AT_ONCE)
    digests["0"] = document_digest({"n": "new"})
    del digests["1"]
    client.come_back(digests)
    client.session.subscriptions.changed(client.subscription, "c", "0", {"n": "new"})
    client.session.subscriptions.removed(client.subscription, "c", "1")
    # The last document that was not looked at goes, too.
    last = str(2 * DIGESTS_AT_ONCE - 1)
    client.session.subscriptions.removed(client.subscription, "c", last)
    client.session.subscriptions.added(client.subscription, "c", last, {"n": int(last)})
    assert client.go_on() > 0
    assert client.sent()[0] == UNCHANGED


def test_the_slices_of_a_void_resync_are_not_gone_on_with() -> None:
    client = Returning()
    client.come_back(client.add(2 * DIGESTS_AT_ONCE))
    assert client.session.events_received() == [DigestsWanted()]
    client.session.begin_user_change()
    client.session.events_received()
    client.session.make_digests()
    assert client.session.events_received() == []
    client.session.end_user_change()
    assert {"msg": "bolide.resync", "void": True} in client.sent()


def test_a_user_change_before_the_resync_names_no_subscription_twice() -> None:
    client = Returning()
    (new,) = client.session.begin_user_change()
    client.session.ready(new)
    client.session.end_user_change()
    client.session.events_received()
    client.come_back({})
    assert client.sent() == [UNCHANGED, {"msg": "ready", "subs": ["1"]}]


def test_no_time_is_up_while_digests_are_made() -> None:
    client = Returning()
    client.come_back(client.add(2 * DIGESTS_AT_ONCE))
    client.session.tick(1_000.0)
    assert client.session.close_reason is None
    client.go_on()
    assert client.sent()[0] == UNCHANGED
