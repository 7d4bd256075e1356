"""The client's conversation against a model of a server, cut at any moment.

Whatever the order of writes, subscriptions, calls, losses and deliveries: in the end the client
shows what its subscriptions publish, every call has one outcome, and no document that the server
held all along ever vanished from the view.
"""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bolide.client.conversation import Conversation
from bolide.client.events import (
    CallFinished,
    DocumentChange,
    GaveUp,
    SubscriptionEnded,
    SubscriptionReady,
)
from bolide.client.limits import ClientLimits

WARDS = st.sampled_from("xyz")
BEDS = st.integers(0, 3)


class Server:
    """Publishes the documents of a ward; merges, so a document is sent once per session."""

    def __init__(self) -> None:
        self.wards: dict[str, dict[str, int]] = {"x": {}, "y": {}, "z": {}}
        self.subscriptions: dict[str, str] = {}
        self.sent: dict[str, int] = {}
        self.out: list[dict[str, Any]] = []
        self.runs: list[str] = []

    def start_session(self) -> None:
        self.subscriptions, self.sent, self.out = {}, {}, []

    def receive(self, message: dict[str, Any]) -> None:
        match message["msg"]:
            case "connect":
                self.out.append({"msg": "connected", "session": "s"})
            case "sub":
                self.subscriptions[message["id"]] = message["name"]
                self.publish()
                self.out.append({"msg": "ready", "subs": [message["id"]]})
            case "unsub":
                self.subscriptions.pop(message["id"], None)
                self.publish()
                self.out.append({"msg": "nosub", "id": message["id"]})
            case "method":
                self.runs.append(message["id"])
                ward, bed = message["params"]
                self.write(ward, bed)
                self.out.append({"msg": "result", "id": message["id"], "result": bed})
                self.out.append({"msg": "updated", "methods": [message["id"]]})
            case _:
                raise AssertionError(message)

    def published(self) -> dict[str, int]:
        return {
            f"{ward}{bed}": version
            for ward in set(self.subscriptions.values())
            for bed, version in self.wards[ward].items()
        }

    def write(self, ward: str, bed: int) -> None:
        beds = self.wards[ward]
        beds[str(bed)] = beds.get(str(bed), 0) + 1
        self.publish()

    def clear(self, ward: str, bed: int) -> None:
        self.wards[ward].pop(str(bed), None)
        self.publish()

    def publish(self) -> None:
        now = self.published()
        for key in self.sent.keys() - now.keys():
            self.out.append({"msg": "removed", "collection": "p", "id": key})
        for key, version in now.items():
            if self.sent.get(key) != version:
                kind = "changed" if key in self.sent else "added"
                fields = {"version": version}
                self.out.append({"msg": kind, "collection": "p", "id": key, "fields": fields})
        self.sent = now


class Talking(RuleBasedStateMachine):
    """A client, a server, and a wire that is cut now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.conversation = Conversation(limits=ClientLimits(max_in_flight=2))
        self.server = Server()
        self.is_connected = False
        self.view: dict[str, int] = {}
        self.steady: set[str] = set()
        self.wanted: dict[str, str] = {}
        self.ready: set[str] = set()
        self.calls: dict[str, bool] = {}
        self.outcomes: dict[str, CallFinished] = {}

    @initialize()
    def begin(self) -> None:
        for ward in "xy":
            self.server.write(ward, 0)
            self.subscribe(ward)
        self.deliver(1)
        self.deliver(100)

    @rule(ward=WARDS)
    def subscribe(self, ward: str) -> None:
        self.wanted[self.conversation.subscribe(ward, [])] = ward

    @precondition(lambda self: self.wanted)
    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        subscription_id = data.draw(st.sampled_from(sorted(self.wanted)))
        del self.wanted[subscription_id]
        self.steady.clear()
        self.conversation.unsubscribe(subscription_id)

    @rule(ward=WARDS, bed=BEDS, retry=st.booleans())
    def call(self, ward: str, bed: int, retry: bool) -> None:
        self.calls[self.conversation.call("admit", [ward, bed], retry=retry)] = retry

    @rule(ward=WARDS, bed=BEDS)
    def write(self, ward: str, bed: int) -> None:
        self.server.write(ward, bed)

    @rule(ward=WARDS, bed=BEDS)
    def clear(self, ward: str, bed: int) -> None:
        self.steady.discard(f"{ward}{bed}")
        self.server.clear(ward, bed)

    @rule(frames=st.integers(1, 6))
    def deliver(self, frames: int) -> None:
        if not self.is_connected:
            self.server.start_session()
            self.conversation.connection_opened(0, deadline=10)
            self.is_connected = True
        for frame in self.conversation.frames_to_send():
            self.server.receive(json.loads(frame))
        for _ in range(min(frames, len(self.server.out))):
            self.conversation.receive_frame(json.dumps(self.server.out.pop(0)), 0)

    @precondition(lambda self: self.is_connected)
    @rule()
    def hurry(self) -> None:
        """Let the time pass after which held documents are shown."""
        if self.conversation.is_catching_up:
            self.conversation.tick(31)
            self.conversation.frames_to_send()
            self.lose()

    @precondition(lambda self: self.is_connected)
    @rule()
    def lose(self) -> None:
        # Documents that the client shows and the server keeps must not vanish on the way back.
        kept = self.view.keys() & self.server.published().keys()
        self.steady |= {key for key in kept if key[0] in self.wanted.values()}
        self.conversation.connection_lost()
        self.server.start_session()
        self.is_connected = False

    @invariant()
    def take_events(self) -> None:
        for event in self.conversation.events_received():
            match event:
                case DocumentChange(_, key, None):
                    del self.view[key]
                case DocumentChange(_, key, document):
                    assert document is not None
                    self.view[key] = document["version"]
                case CallFinished(call_id):
                    assert call_id not in self.outcomes
                    self.outcomes[call_id] = event
                case SubscriptionReady(subscription_id):
                    self.ready.add(subscription_id)
                case SubscriptionEnded(subscription_id):
                    assert subscription_id not in self.wanted
                case GaveUp():
                    raise AssertionError(event)
                case _:
                    pass
            assert self.steady <= self.view.keys()

    def teardown(self) -> None:
        for _ in range(200):
            self.deliver(100)
            self.take_events()
        assert not self.conversation.is_catching_up
        assert self.view == self.server.published()
        assert sorted(self.server.subscriptions.values()) == sorted(self.wanted.values())
        assert self.wanted.keys() <= self.ready
        assert self.outcomes.keys() == self.calls.keys()
        for call_id, retry in self.calls.items():
            failed = self.outcomes[call_id].error is not None
            assert not (failed and retry)
            runs = self.server.runs.count(call_id)
            assert runs <= 1 if failed or not retry else runs >= 1


Talking.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTalking = Talking.TestCase
