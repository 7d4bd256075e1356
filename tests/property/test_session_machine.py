"""Any order of messages, handler results and ticks keeps the laws of a session."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bolide.core.values import UNDEFINED, equals
from bolide.server.limits import Limits
from bolide.server.sessions.events import (
    MethodRequested,
    SessionClosed,
    SubscribeRequested,
    Subscription,
    SubscriptionStopped,
    Work,
)
from bolide.server.sessions.session import Session
from bolide.server.sessions.view.strategy import PublicationStrategy

IDS = st.sampled_from(["d1", "d2"])
SUB_IDS = st.sampled_from(["s1", "s2", "s3"])
FIELDS = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 2), max_size=3)


class SessionMachine(RuleBasedStateMachine):
    """A session, a client that believes what it is told, and the truth about the publications."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.session = Session(
            session_id="s" * 17,
            limits=Limits(),
            heartbeat=(15.0, 15.0),
            now=0.0,
            strategy_of=lambda _: PublicationStrategy.SERVER_MERGE,
        )
        self.client: dict[str, dict[str, Any]] = {}
        self.published: dict[Subscription, dict[str, dict[str, Any]]] = {}
        self.running: list[Work] = []
        self.blocking: Work | None = None
        self.pings = 0
        self.ready: set[str] = set()
        self.awaiting_ready: set[str] = set()
        self.is_paused = False
        self.is_closed = False
        self.send(msg="connect", version="1", support=["1"])

    def send(self, **message: Any) -> None:
        self.session.receive_frame(json.dumps(message), self.now)
        self.look()

    def look(self) -> None:
        """Take what the session says."""
        for event in self.session.events_received():
            match event:
                case SubscribeRequested(work, subscription):
                    assert self.blocking is None, "two at a time"
                    self.blocking = work
                    self.running.append(work)
                    self.published[subscription] = {}
                case MethodRequested(work):
                    assert self.blocking is None, "two at a time"
                    self.blocking = work
                    self.running.append(work)
                case SubscriptionStopped(subscription):
                    del self.published[subscription]
                case SessionClosed():
                    self.is_closed = True
                case _:
                    pass
        for frame in self.session.packets_to_send():
            self.believe(json.loads(frame))

    def believe(self, message: dict[str, Any]) -> None:
        match message["msg"]:
            case "added":
                assert message["id"] not in self.client
                self.client[message["id"]] = message.get("fields", {})
            case "changed":
                document = self.client[message["id"]]
                assert message.get("fields") or message.get("cleared")
                document.update(message.get("fields", {}))
                for name in message.get("cleared", []):
                    del document[name]
            case "removed":
                del self.client[message["id"]]
            case "ready":
                self.ready.update(message["subs"])
            case "nosub":
                self.ready.discard(message["id"])
            case "pong":
                self.pings -= 1
            case _:
                pass

    def release(self, work: Work) -> None:
        if self.blocking is work:
            self.blocking = None

    @precondition(lambda self: not self.is_closed)
    @rule(id=SUB_IDS)
    def subscribe(self, id: str) -> None:
        self.send(msg="sub", id=id, name="p")

    @precondition(lambda self: not self.is_closed)
    @rule(id=SUB_IDS)
    def unsubscribe(self, id: str) -> None:
        self.send(msg="unsub", id=id)

    @precondition(lambda self: not self.is_closed)
    @rule(id=st.sampled_from(["m1", "m2"]))
    def call(self, id: str) -> None:
        self.send(msg="method", id=id, method="f")

    @precondition(lambda self: not self.is_closed)
    @rule()
    def ping(self) -> None:
        self.pings += 1
        self.send(msg="ping")
        assert self.pings == 0, "a ping waited"

    @precondition(lambda self: self.running)
    @rule(data=st.data(), unblock=st.booleans())
    def finish(self, data: st.DataObject, unblock: bool) -> None:
        work = data.draw(st.sampled_from(self.running))
        self.release(work)
        if unblock:
            self.session.unblock(work)
        else:
            self.running.remove(work)
            if work.method_id is not None:
                self.session.result(work, 1)
            self.session.finish(work)
            if work.method_id is not None:
                self.session.updated(work)
        self.look()

    @precondition(lambda self: self.published)
    @rule(data=st.data(), id=IDS, fields=FIELDS)
    def publish(self, data: st.DataObject, id: str, fields: dict[str, int]) -> None:
        subscription = data.draw(st.sampled_from(list(self.published)))
        documents = self.published[subscription]
        if id not in documents:
            documents[id] = dict(fields)
            self.session.subscriptions.added(subscription, "c", id, fields)
        else:
            changes: dict[str, Any] = {
                name: UNDEFINED if value == 0 else value for name, value in fields.items()
            }
            merged = {**documents[id], **changes}
            documents[id] = {k: value for k, value in merged.items() if value is not UNDEFINED}
            self.session.subscriptions.changed(subscription, "c", id, changes)
        self.look()

    @precondition(lambda self: any(self.published.values()))
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        holders = [sub for sub, documents in self.published.items() if documents]
        subscription = data.draw(st.sampled_from(holders))
        id = data.draw(st.sampled_from(list(self.published[subscription])))
        del self.published[subscription][id]
        self.session.subscriptions.removed(subscription, "c", id)
        self.look()

    @precondition(lambda self: self.published)
    @rule(data=st.data())
    def become_ready(self, data: st.DataObject) -> None:
        self.session.ready(data.draw(st.sampled_from(list(self.published))))
        self.look()

    @precondition(lambda self: self.published)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.session.nosub(data.draw(st.sampled_from(list(self.published))))
        self.look()

    @precondition(lambda self: not self.is_paused and not self.is_closed)
    @rule()
    def begin_user_change(self) -> None:
        fresh = self.session.begin_user_change()
        self.is_paused = True
        self.look()
        self.published.update({subscription: {} for subscription in fresh})

    @precondition(lambda self: self.is_paused)
    @rule()
    def end_user_change(self) -> None:
        self.session.end_user_change()
        self.is_paused = False
        self.look()

    @rule(seconds=st.floats(0, 8))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.session.tick(self.now)
        self.look()

    @invariant()
    def the_client_holds_exactly_what_is_published(self) -> None:
        if self.is_paused or self.is_closed:
            return
        published = list(self.published.values())
        held = {id for documents in published for id in documents}
        assert set(self.client) == held
        for id, shown in self.client.items():
            claims = [documents[id] for documents in published if id in documents]
            assert set(shown) == {name for claim in claims for name in claim}
            for name, value in shown.items():
                values = [claim[name] for claim in claims if name in claim]
                assert any(equals(value, claimed) for claimed in values)

    @invariant()
    def ready_is_told_of_active_subscriptions_only(self) -> None:
        if not self.is_paused and not self.is_closed:
            assert self.ready <= set(self.session.subscriptions.named)


SessionMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)
TestSession = SessionMachine.TestCase
