"""The client's conversation against a model of a server, cut at any moment.

Whatever the order of writes, subscriptions, calls with and without stubs, losses, resyncs and
deliveries: in the end the client shows what its subscriptions publish, every call has one outcome,
a call with an identity ran at most once, no document that the server held all along ever vanished
from the view, and of a call that the server rejected the view never shows a half.
"""

import json
from typing import Any, TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bolide.client.ddp.conversation import Conversation
from bolide.client.events import (
    CallFinished,
    DocumentChange,
    GaveUp,
    SubscriptionEnded,
    SubscriptionReady,
)
from bolide.client.limits import ClientLimits
from bolide.core.ddp.digests import digest_text, document_digest, view_digest
from bolide.core.ddp.messages import CallId

WARDS = st.sampled_from("xyz")
BEDS = st.integers(0, 2)
PLACES = st.tuples(WARDS, BEDS).map(lambda place: f"{place[0]}{place[1]}")
# Wards x and y are in one collection, z in another.
COLLECTIONS = {"x": "p", "y": "p", "z": "q"}

Tokens: TypeAlias = list[int]


def fields_of(tokens: Tokens) -> dict[str, Any]:
    """Return a document's fields; one of them comes and goes with the last token."""
    return {"tokens": tokens, f"last{tokens[-1] % 3}": True}


class Server:
    """Publishes the documents of a ward; merges, so a document is sent once per session."""

    def __init__(self) -> None:
        self.documents: dict[str, Tokens] = {}
        self.outcomes: dict[str, Any] = {}
        self.runs: list[int] = []
        self.start_session(offers_resync=False, offers_call=True)

    def start_session(self, *, offers_resync: bool, offers_call: bool) -> None:
        self.extensions = ["resync"] * offers_resync + ["call"] * offers_call
        self.subscriptions: dict[str, str] = {}
        self.sent: dict[str, Tokens] = {}
        self.out: list[dict[str, Any]] = []
        self.methods: list[dict[str, Any]] = []
        self.is_paused = False
        self.unready: list[str] = []
        self.wanted: list[str] = []
        self.have: dict[str, dict[str, str]] = {}

    def receive(self, message: dict[str, Any]) -> None:
        match message:
            case {"msg": "connect", "bolide": asked}:
                self.is_paused = "resync" in asked and "resync" in self.extensions
                agreed = {"extensions": self.extensions}
                self.out.append({"msg": "connected", "session": "s", "bolide": agreed})
            case {"msg": "sub", "id": id, "name": ward}:
                self.subscriptions[id] = ward
                self.unready.append(id)
                self.publish()
            case {"msg": "unsub", "id": id}:
                self.subscriptions.pop(id, None)
                self.publish()
                self.out.append({"msg": "nosub", "id": id})
            case {"msg": "method"}:
                self.methods.append(message)
            case {"msg": "bolide.resync", "views": views}:
                self.begin_resync(views)
            case {"msg": "bolide.resync", "have": have}:
                for name, digests in have.items():
                    self.have.setdefault(name, {}).update(digests)
                if not message.get("more"):
                    self.finish_resync()
            case _:
                raise AssertionError(message)

    def begin_resync(self, views: dict[str, str]) -> None:
        for name, digest in views.items():
            digests = {key: document_digest(fields_of(t)) for key, t in self.view_of(name).items()}
            if digest_text(view_digest(digests)) == digest:
                self.sent.update(self.view_of(name))
            else:
                self.wanted.append(name)
        self.out.append({"msg": "bolide.resync", "want": self.wanted})
        if not self.wanted:
            self.finish_resync()

    def finish_resync(self) -> None:
        for name in self.wanted:
            held = self.have.get(name, {})
            now = self.view_of(name)
            for key in held.keys() - now.keys():
                self.out.append({"msg": "removed", "collection": name, "id": key})
            for key, tokens in now.items():
                if held.get(key) != digest_text(document_digest(fields_of(tokens))):
                    added = {"msg": "added", "collection": name, "id": key}
                    replace = {"replace": True} if key in held else {}
                    self.out.append({**added, "fields": fields_of(tokens), **replace})
            self.sent.update(now)
        self.is_paused = False
        self.publish()

    def published(self) -> dict[str, Tokens]:
        wards = set(self.subscriptions.values())
        return {key: tokens for key, tokens in self.documents.items() if key[0] in wards}

    def view_of(self, collection: str) -> dict[str, Tokens]:
        published = self.published().items()
        return {key: tokens for key, tokens in published if COLLECTIONS[key[0]] == collection}

    def write(self, key: str, token: int) -> None:
        self.documents[key] = [*self.documents.get(key, []), token]
        self.publish()

    def clear(self, key: str) -> None:
        self.documents.pop(key, None)
        self.publish()

    def run(self, index: int, *, updated_first: bool) -> None:
        """Run one of the methods that wait, and answer it."""
        message = self.methods.pop(index)
        call_id = message.get("bolide", {}).get("call")
        outcome = self.outcomes.get(call_id)
        if outcome is None:
            token, *keys, is_rejected = message["params"]
            self.runs.append(token)
            if not is_rejected:
                for key in keys:
                    self.write(key, token)
            outcome = {"error": {"error": "no"}} if is_rejected else {"result": token}
            if call_id is not None:
                self.outcomes[call_id] = outcome
        answers: list[dict[str, Any]] = [
            {"msg": "result", "id": message["id"], **outcome},
            {"msg": "updated", "methods": [message["id"]]},
        ]
        self.out.extend(reversed(answers) if updated_first else answers)

    def publish(self) -> None:
        if self.is_paused:
            return
        now = self.published()
        for key in self.sent.keys() - now.keys():
            self.out.append({"msg": "removed", "collection": COLLECTIONS[key[0]], "id": key})
        for key, tokens in now.items():
            if self.sent.get(key) != tokens:
                fields = fields_of(tokens)
                message: dict[str, Any] = {"msg": "added", "id": key}
                message["collection"] = COLLECTIONS[key[0]]
                if key in self.sent:
                    cleared = fields_of(self.sent[key]).keys() - fields.keys()
                    message |= {"msg": "changed", "cleared": sorted(cleared)}
                self.out.append({**message, "fields": fields})
        self.sent = now
        if self.unready:
            self.out.append({"msg": "ready", "subs": self.unready})
            self.unready = []


class Talking(RuleBasedStateMachine):
    """A client, a server, and a wire that is cut now and then."""

    def __init__(self) -> None:
        super().__init__()
        limits = ClientLimits(max_in_flight=2, max_resync_chunk_bytes=150)
        self.conversation = Conversation(limits=limits)
        self.server = Server()
        self.offers_call = True
        self.is_connected = False
        self.may_give_up = False
        self.last_token = 0
        self.view: dict[str, dict[str, Any]] = {}
        self.steady: set[str] = set()
        self.wanted: dict[str, str] = {}
        self.ready: set[str] = set()
        self.calls: dict[str, tuple[int, bool]] = {}
        self.forgotten: set[str] = set()
        self.outcomes: dict[str, CallFinished] = {}
        self.rejected: list[tuple[int, str, str]] = []

    @initialize(offers_call=st.booleans())
    def begin(self, offers_call: bool) -> None:
        self.offers_call = offers_call
        for ward in "xyz":
            self.write(f"{ward}0")
        self.subscribe("x")
        self.subscribe("z")
        self.deliver(1, offers_resync=False)
        self.deliver(100, offers_resync=False)

    def tokens(self, key: str) -> Tokens:
        """Return the tokens that the client shows."""
        tokens: Tokens = self.view.get(key, {"tokens": []})["tokens"]
        return tokens

    def token(self) -> int:
        self.last_token += 1
        return self.last_token

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

    @rule(
        first=PLACES,
        second=PLACES,
        is_rejected=st.booleans(),
        has_stub=st.booleans(),
        retry=st.sampled_from([True, True, False]),
    )
    def call(self, first: str, second: str, is_rejected: bool, has_stub: bool, retry: bool) -> None:
        token = self.token()
        writes: dict[str, DocumentChange] = {}
        if has_stub:
            for key in sorted({first, second}):
                fields = fields_of([*self.tokens(key), token])
                writes[key] = DocumentChange(COLLECTIONS[key[0]], key, {"_id": key, **fields})
        call_id = self.conversation.call(
            "admit",
            [token, *sorted({first, second}), is_rejected],
            retry=retry,
            identity=CallId("s" * 16, str(token)),
            random_seed="seed" if has_stub else None,
            writes=list(writes.values()),
        )
        self.calls[call_id] = (token, retry)
        if is_rejected:
            self.rejected.append((token, first, second))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.calls)))
        del self.calls[call_id]
        self.forgotten.add(call_id)
        self.steady.clear()  # the document may have been the stub's
        self.conversation.forget(call_id)

    @rule(key=PLACES)
    def write(self, key: str) -> None:
        self.server.write(key, self.token())

    @rule(key=PLACES)
    def clear(self, key: str) -> None:
        self.steady.discard(key)
        self.server.clear(key)

    @precondition(lambda self: self.server.methods)
    @rule(index=st.integers(0, 5), updated_first=st.booleans())
    def run(self, index: int, updated_first: bool) -> None:
        self.server.run(index % len(self.server.methods), updated_first=updated_first)

    @rule(frames=st.integers(1, 6), offers_resync=st.booleans())
    def deliver(self, frames: int, offers_resync: bool) -> None:
        if not self.is_connected:
            self.server.start_session(offers_resync=offers_resync, offers_call=self.offers_call)
            self.conversation.connection_opened(0, deadline=10)
            self.is_connected = True
        for frame in self.conversation.frames_to_send():
            self.server.receive(json.loads(frame))
        for _ in range(min(frames, len(self.server.out))):
            self.conversation.receive_frame(json.dumps(self.server.out.pop(0)), 0)
            self.take_events()

    @precondition(lambda self: self.is_connected)
    @rule()
    def hurry(self) -> None:
        """Let the time pass after which held documents are shown."""
        if self.conversation.is_catching_up:
            self.may_give_up = True
            self.conversation.tick(31)
            self.take_events()
            self.may_give_up = False
            self.conversation.frames_to_send()
            self.lose(runs=False)

    @precondition(lambda self: self.is_connected)
    @rule(runs=st.booleans())
    def lose(self, runs: bool) -> None:
        while runs and self.server.methods:
            self.server.run(0, updated_first=False)
        # Documents that the client shows and the server keeps must not vanish on the way back.
        kept = self.view.keys() & self.server.published().keys()
        self.steady |= {key for key in kept if key[0] in self.wanted.values()}
        self.steady -= {key for key in self.steady if self.is_only_simulated(key)}
        self.conversation.connection_lost()
        self.server.start_session(offers_resync=False, offers_call=self.offers_call)
        self.is_connected = False

    def is_only_simulated(self, key: str) -> bool:
        """Whether the client shows only what a stub inserted, which may be taken back."""
        return self.tokens(key) != self.server.documents.get(key)

    @invariant()
    def take_events(self) -> None:
        for event in self.conversation.events_received():
            match event:
                case DocumentChange(_, key, None):
                    del self.view[key]
                case DocumentChange(_, key, document):
                    assert document is not None
                    self.view[key] = {n: value for n, value in document.items() if n != "_id"}
                case CallFinished(call_id):
                    assert call_id not in self.outcomes
                    self.outcomes[call_id] = event
                case SubscriptionReady(subscription_id):
                    self.ready.add(subscription_id)
                case SubscriptionEnded(subscription_id):
                    assert subscription_id not in self.wanted
                case GaveUp():
                    assert self.may_give_up
                case _:
                    pass
        assert self.steady <= self.view.keys()
        for token, first, second in self.rejected:
            halves = [token in self.tokens(key) for key in (first, second)]
            assert halves[0] == halves[1]

    def teardown(self) -> None:
        for _ in range(200):
            self.deliver(100, offers_resync=True)
            while self.server.methods:
                self.run(0, updated_first=False)
        assert not self.conversation.is_catching_up
        published = self.server.published()
        assert self.view == {key: fields_of(tokens) for key, tokens in published.items()}
        assert sorted(self.server.subscriptions.values()) == sorted(self.wanted.values())
        assert self.wanted.keys() <= self.ready
        assert self.calls.keys() <= self.outcomes.keys() <= self.calls.keys() | self.forgotten
        for call_id, (token, retry) in self.calls.items():
            outcome = self.outcomes[call_id]
            was_lost = outcome.error is not None and outcome.error.error == "invocation-failed"
            assert not (was_lost and retry)
            runs = self.server.runs.count(token)
            assert was_lost or runs >= 1
            assert not (self.offers_call or not retry) or runs <= 1


Talking.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestTalking = Talking.TestCase
