import json
from typing import Any

from bolide.core.ddp.messages import Sub
from bolide.server.sessions.events import Event, Subscription, SubscriptionStopped
from bolide.server.sessions.subscriptions import Subscriptions
from bolide.server.sessions.transport import PLAIN, Wire
from bolide.server.sessions.view.client_view import ClientView
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.sessions.view.view_change import ViewChange


class Client:
    """What a session has: subscriptions, their view, and the events that come of them."""

    def __init__(self) -> None:
        self.view = ClientView(
            lambda _: PublicationStrategy.SERVER_MERGE, Wire(PLAIN), lambda packets: None
        )
        self.events: list[Event] = []
        self.checks = 0
        self.subscriptions = Subscriptions(self.view, self.events, self.check)

    def check(self) -> None:
        self.checks += 1

    def begin(self, id: str = "1") -> Subscription:
        return self.subscriptions.begin(Sub(id, "p"), 10)

    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(packet) for packet in self.view.packets(65_536)]


def test_those_of_the_client_and_of_the_node_are_counted() -> None:
    client = Client()
    one, universal = client.begin(), client.subscriptions.begin_universal()
    assert client.subscriptions.running() == [one, universal]
    assert len(client.subscriptions) == 2
    assert client.subscriptions.request_bytes == 10


def test_what_one_source_published_is_taken_back_alone() -> None:
    client = Client()
    subscriptions, subscription = client.subscriptions, client.begin()
    both = ViewChange.added("c", "both", {"a": 1})
    subscriptions.publish(subscription, "one", [both])
    subscriptions.publish(subscription, "two", [both])
    subscriptions.publish(subscription, "one", [ViewChange.added("c", "own", {})])
    subscriptions.added(subscription, "c", "plain", {})
    client.sent()
    subscriptions.leave(subscription, "one")
    assert [(m["msg"], m["id"]) for m in client.sent()] == [("removed", "own")]
    subscriptions.leave(subscription, "one")
    assert client.sent() == []
    subscriptions.end(subscription)
    assert {m["id"] for m in client.sent() if m["msg"] == "removed"} == {"both", "plain"}
    subscriptions.leave(subscription, "two")
    subscriptions.publish(subscription, "two", [both])
    assert client.sent() == []


def test_what_waits_is_looked_at_after_all_that_is_published() -> None:
    client = Client()
    subscription = client.begin()
    client.subscriptions.added(subscription, "c", "d", {"x": 1})
    client.subscriptions.changed(subscription, "c", "d", {"x": 2})
    client.subscriptions.removed(subscription, "c", "d")
    client.subscriptions.publish(subscription, "one", [])
    assert client.checks == 4
    client.subscriptions.end(subscription)
    client.subscriptions.added(subscription, "c", "d", {"x": 1})
    assert client.checks == 4


def test_a_former_run_keeps_its_documents_until_the_new_one_has_its_own() -> None:
    client = Client()
    old = client.begin()
    client.subscriptions.added(old, "c", "d", {})
    client.sent()
    new = client.subscriptions.restart(old, keeps_documents=True)
    assert new is not None
    assert client.subscriptions.running() == [new]
    assert (client.sent(), client.events) == ([], [])
    client.subscriptions.end_former(new)
    assert [m["msg"] for m in client.sent()] == ["removed"]
    assert client.events == [SubscriptionStopped(old)]


def test_a_run_that_keeps_nothing_takes_its_documents_back_at_once() -> None:
    client = Client()
    old = client.subscriptions.begin_universal()
    client.subscriptions.added(old, "c", "d", {})
    client.sent()
    new = client.subscriptions.restart(old, keeps_documents=False)
    assert client.subscriptions.universal == [new]
    assert [m["msg"] for m in client.sent()] == ["removed"]


def test_the_named_ones_are_renewed_and_all_old_ones_stopped() -> None:
    client = Client()
    old, universal = client.begin(), client.subscriptions.begin_universal()
    (new,) = client.subscriptions.renew()
    assert client.subscriptions.running() == [new]
    assert (new.id, new.name, new.size, new.is_active) == ("1", "p", 10, True)
    assert client.events == [SubscriptionStopped(old), SubscriptionStopped(universal)]
    assert not old.is_active
