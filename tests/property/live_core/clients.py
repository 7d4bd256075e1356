"""A client that checks the laws of DDP with every message, and remembers what it showed when."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.property.live_core.model import (
    MANUAL,
    THINGS,
    USERS,
    History,
    View,
    queries_of,
)

from bolide.core.ddp.codec import parse_server_message, serialize
from bolide.core.ddp.messages import (
    Added,
    Changed,
    ClientMessage,
    Connect,
    Connected,
    Method,
    Nosub,
    Ready,
    Removed,
    Result,
    Sub,
    Unsub,
    Updated,
)
from bolide.core.keys import key_of
from bolide.server.stores.base import Query
from bolide.server.testing import TestNode, TestSocket

__all__ = ["Moment", "Reader", "Subscribed"]


@dataclass(slots=True, eq=False)
class Subscribed:
    """One subscription of a client.

    Attributes:
        name: Name of the publication.
        is_ready: Its first documents are there.
        readies: How often it may still be told so: once, and once for each change of the user.
        is_stopping: Its end was asked for.
    """

    id: str
    name: str
    is_ready: bool = False
    readies: int = 1
    is_stopping: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """What a client showed, and what follows from it.

    Attributes:
        why: What had just happened.
        subscription: The only one on the collection, if there was just one.
        view: What was shown of the collection; None if nothing follows from it.
        call: Number of the call that was ``updated``.
    """

    why: str
    subscription: Subscribed | None
    view: View | None
    call: int | None = None


_NEW_NODE = Moment("a new node", None, None)


class Reader:
    """A client of one node at a time.

    Args:
        name: For messages.
        new_number: Gives a number to each call.
        keeps_own_writes: Its writes through one node are to be seen at once through the next.

    Attributes:
        node: Index of the node it is or was connected to.
        subscriptions: Those not ended, by id.
        user: Who is logged in.
        moments: What it showed, since they were taken last.
        faults: Which laws were broken.
    """

    def __init__(
        self, name: str, new_number: Callable[[], int], *, keeps_own_writes: bool = False
    ) -> None:
        self.name = name
        self.node = 0
        self.subscriptions: dict[str, Subscribed] = {}
        self.user: str | None = None
        self.moments: list[Moment] = []
        self.faults: list[str] = []
        self._new_number = new_number
        self._keeps_own_writes = keeps_own_writes
        self._views: dict[str, View] = {}
        self._calls: dict[int, set[str]] = {}
        self._is_connected = False
        self._is_stalled = False
        self._floor = 0
        self._last: dict[Subscribed, int] = {}
        self._news = asyncio.Event()
        self._socket: TestSocket | None = None

    # What it does

    def connect(self, node: TestNode, index: int) -> None:
        """Connect, and subscribe to all that it was subscribed to; drops an older connection."""
        if self._socket is not None:
            self._socket.on_frames = lambda frames: None
            self._socket.disconnect()
        if index != self.node and not self._keeps_own_writes:
            self.moments.append(_NEW_NODE)
        self.node, self._socket = index, node.open_socket()
        self._socket.on_frames = self._take
        self._is_connected = self._is_stalled = False
        self._views.clear()
        self._calls.clear()
        wanted = [one.name for one in self.subscriptions.values() if not one.is_stopping]
        self.subscriptions.clear()
        self._send(Connect("1", ("1",)))
        if self.user is not None:
            self.login(self.user)
        for name in wanted:
            self.subscribe(name)

    def subscribe(self, name: str) -> None:
        """Subscribe to a publication, once more if it is subscribed to."""
        id = f"s{self._new_number()}"
        self.subscriptions[id] = Subscribed(id, name)
        self._send(Sub(id, name))

    def stop(self, number: int) -> None:
        """End one of the subscriptions."""
        active = [one for one in self.subscriptions.values() if not one.is_stopping]
        if active:
            self._stop(active[number % len(active)])

    def stop_others_on_things(self) -> None:
        """End all subscriptions on the collection that the laws of single queries are about."""
        for one in self.subscriptions.values():
            if not one.is_stopping and _shows_things(one.name):
                self._stop(one)

    def call(self, name: str, *args: Any) -> None:
        """Call a method; the first argument is the call's number."""
        number = self._new_number()
        self._calls[number] = set()
        self._send(Method(str(number), name, (number, *args)))

    def login(self, user: str | None) -> None:
        """Become somebody else."""
        self.user = user
        for subscription in self.subscriptions.values():
            subscription.readies += 1
        self.call("login", user)

    def stall(self) -> None:
        """Stop reading, if the socket can."""
        stall: Callable[[], object] | None = getattr(self._socket, "stall", None)
        if stall is not None and not self._is_stalled:
            self._is_stalled = True
            stall()

    def drain(self) -> None:
        """Read what there is, and everything from now on."""
        if self._is_stalled:
            self._is_stalled = False
            drain: Callable[[], object] = getattr(self._socket, "drain")  # noqa: B009
            drain()

    async def answered(self) -> None:
        """Wait until nothing that was asked for is left open."""
        while not self._has_all_answers() and not self.faults:
            self._news.clear()
            await self._news.wait()

    # What it shows

    def view(self, collection: str) -> View:
        """Return what it shows of a collection."""
        return self._views.get(collection, {})

    def check_moments(self, history: History, effects: dict[int, int]) -> None:
        """Find for every moment a position of the history, none before the one before it."""
        moments, self.moments = self.moments, []
        for moment in moments:
            if moment is _NEW_NODE:
                self._floor = 0
            if moment.call is not None:
                self._floor = max(self._floor, effects[moment.call])
            subscription, view = moment.subscription, moment.view
            if subscription is None or view is None:
                continue
            floor = max(self._floor, self._last.get(subscription, 0))
            queries = self._queries(subscription)
            position = history.first_match(queries, view, floor)
            assert position is not None, (
                f"{self.name} at {moment.why}: {subscription.name} shows {list(view.values())}, "
                f"which it was at no position from {floor} on"
            )
            self._last[subscription] = position

    # Inside

    def _queries(self, subscription: Subscribed) -> list[Query]:
        # While the user changes nobody knows for whom the view is.
        users = {*USERS, None} if subscription.name == "mine" else {None}
        found = [q for user in users for q in queries_of(subscription.name, user)]
        if subscription.name == "mine":
            found.append(Query(collection=THINGS, selector={"_id": "nothing"}))
        return [query for query in found if query.collection == THINGS]

    def _stop(self, subscription: Subscribed) -> None:
        subscription.is_stopping = True
        self._send(Unsub(subscription.id))

    def _send(self, message: ClientMessage) -> None:
        assert self._socket is not None
        self._socket.send_frame(serialize(message, bolide=False))

    def _has_all_answers(self) -> bool:
        return (
            self._is_connected
            and all(one.is_ready and not one.is_stopping for one in self.subscriptions.values())
            and all(len(answers) == 2 for answers in self._calls.values())
        )

    def _take(self, frames: Sequence[str]) -> None:
        """Take the frames of one turn; an error here would be lost in the server."""
        try:
            for frame in frames:
                self._take_one(frame)
            self._remember("the end of a turn")
        except AssertionError as error:
            self.faults.append(f"{self.name}: {error}")
        except Exception as error:
            self.faults.append(f"{self.name}: {type(error).__name__}: {error}")
        self._news.set()

    def _take_one(self, frame: str) -> None:
        match message := parse_server_message(frame):
            case Connected():
                self._is_connected = True
            case Added() | Changed() | Removed():
                self._change(message)
            case Ready(subs):
                for id in subs:
                    assert id in self.subscriptions, "ready of a subscription that ended"
                    subscription = self.subscriptions[id]
                    assert subscription.readies, "ready came too often"
                    subscription.is_ready = True
                    subscription.readies -= 1
                self._remember("ready")
            case Nosub(id, error):
                assert error is None, f"nosub with {error}"
                assert self.subscriptions[id].is_stopping, "nosub of a subscription not stopped"
                del self.subscriptions[id]
                self._remember("nosub")
            case Result(id, _, error):
                assert error is None, f"result with {error}"
                self._answer(id, "result")
            case Updated(methods):
                for id in methods:
                    self._answer(id, "updated")
                    self._remember(f"updated of {id}", int(id))
            case _:
                raise AssertionError(f"the server sent {message}")

    def _answer(self, id: str, kind: str) -> None:
        answers = self._calls[int(id)]
        assert kind not in answers, f"two {kind} for one call"
        answers.add(kind)

    def _change(self, message: Added | Changed | Removed) -> None:
        view = self._views.setdefault(message.collection, {})
        key = key_of(message.id)
        what = f"{type(message).__name__.lower()} {message.id} of {message.collection}"
        if isinstance(message, Added):
            assert key not in view, f"{what}, which the client holds"
            view[key] = {"_id": message.id, **message.fields}
            return
        assert key in view, f"{what}, which the client does not hold"
        if isinstance(message, Removed):
            del view[key]
            return
        document = {**view[key], **message.fields}
        view[key] = {k: value for k, value in document.items() if k not in message.cleared}

    def _remember(self, why: str, call: int | None = None) -> None:
        on_things = [one for one in self.subscriptions.values() if _shows_things(one.name)]
        only = on_things[0] if len(on_things) == 1 else None
        if only is None or not only.is_ready or only.name == MANUAL:
            if not on_things:
                assert not self._views.get(THINGS), "documents are left of what was stopped"
            self.moments.append(Moment(why, None, None, call))
            return
        self.moments.append(Moment(why, only, dict(self._views.get(THINGS, {})), call))


def _shows_things(name: str) -> bool:
    return name in ("mine", MANUAL) or any(q.collection == THINGS for q in queries_of(name, None))
