"""A client that checks the laws of DDP with every message, and remembers what it showed when."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.property.live_core.coming_back import ComingBack, damage
from tests.property.live_core.model import (
    BEDS,
    JOINS,
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
    CallId,
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
    Void,
    Want,
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
        call: Id of the message whose call was ``updated``.
        is_whole: The view is of one position; else each of its documents is of one.
    """

    why: str
    subscription: Subscribed | None
    view: View | None
    call: int | None = None
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Made:
    """A call with a call id, which may be made again.

    Attributes:
        number: Of the call; also its call id.
        work: Arguments beyond the number.
        user: Who made it: for another one it is another call.
    """

    number: int
    work: Sequence[Any]
    user: str | None


_CLIENT = "a secret of 16 characters or more, "
_NEW_NODE = Moment("a new node", None, None)


class Reader:
    """A client of one node at a time.

    Args:
        name: For messages.
        new_number: Gives a number to each call.
        keeps_own_writes: Its writes through one node are to be seen at once through the next.
        speaks_bolide: It uses our extensions of DDP.

    Attributes:
        node: Index of the node it is or was connected to.
        subscriptions: Those not ended, by id.
        user: Who is logged in.
        moments: What it showed, since they were taken last.
        faults: Which laws were broken.
        results: Number of a call with a call id -> every result it was told, in order.
    """

    def __init__(
        self,
        name: str,
        new_number: Callable[[], int],
        *,
        keeps_own_writes: bool = False,
        speaks_bolide: bool = False,
    ) -> None:
        self.name = name
        self.node = 0
        self.subscriptions: dict[str, Subscribed] = {}
        self.user: str | None = None
        self.moments: list[Moment] = []
        self.faults: list[str] = []
        self.results: dict[int, list[Any]] = {}
        # Id of a message -> mark of the run whose outcome it was told.
        self._told: dict[int, int | None] = {}
        self._speaks_bolide = speaks_bolide
        self._made: list[Made] = []
        # Id of a call in this session -> its number, where it is made again.
        self._numbers: dict[str, int] = {}
        self._coming_back: ComingBack | None = None
        self._came_back: ComingBack | None = None
        self._is_telling = False
        self._new_number = new_number
        self._keeps_own_writes = keeps_own_writes
        self._views: dict[str, View] = {}
        self._calls: dict[int, set[str]] = {}
        self._refused: set[str] = set()
        self._is_connected = False
        self._is_stalled = False
        self._floor = 0
        self._last: dict[Subscribed, int] = {}
        self._news = asyncio.Event()
        self._socket: TestSocket | None = None

    # What it does

    def connect(self, node: TestNode, index: int) -> None:
        """Connect, and subscribe to all that it was subscribed to; drops an older connection."""
        self._views.clear()
        self._connect(node, index)

    def come_back(
        self, node: TestNode, index: int, kinds: int, chunk: int, *, asks_late: bool
    ) -> None:
        """Connect as :meth:`connect`, but keep what it shows, if it can.

        Args:
            node: To which node.
            index: Its index.
            kinds: What is damaged before, see
                :func:`~tests.property.live_core.coming_back.damage`.
            chunk: How many documents it names in one message.
            asks_late: :meth:`ask` is called later.
        """
        if not self._speaks_bolide:
            self.connect(node, index)
            return
        damage(self._views, kinds)
        self._connect(node, index, ComingBack(self._views, chunk))
        if not asks_late:
            self.ask()

    def ask(self) -> None:
        """Ask the server to compare views, if that is still to be done."""
        coming_back = self._coming_back
        if coming_back is not None and not coming_back.is_asked:
            active = [one.id for one in self.subscriptions.values() if not one.is_stopping]
            self._send(coming_back.ask(active))

    def _connect(self, node: TestNode, index: int, coming_back: ComingBack | None = None) -> None:
        if self._socket is not None:
            self._socket.on_frames = lambda frames: None
            self._socket.disconnect()
        if index != self.node and not self._keeps_own_writes:
            self.moments.append(_NEW_NODE)
        self.node, self._socket = index, node.open_socket()
        self._socket.on_frames = self._take
        self._is_connected = self._is_stalled = False
        self._coming_back, self._came_back = coming_back, None
        self._is_telling = False
        self._calls.clear()
        self._refused.clear()
        self._numbers.clear()
        wanted = [one.name for one in self.subscriptions.values() if not one.is_stopping]
        self.subscriptions.clear()
        asked = {"resync": True} if coming_back is not None else {}
        self._send(Connect("1", ("1",), bolide=asked if self._speaks_bolide else None))
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
        identity: CallId | None = None
        if self._speaks_bolide and name == "write":
            self._made.append(Made(number, args, self.user))
            self._numbers[str(number)] = number
            identity = CallId(_CLIENT + self.name, str(number))
        self._send(Method(str(number), name, (number, *args), call=identity))

    def repeat(self, which: int) -> None:
        """Make one of its last calls again, whether it was answered or not."""
        made = [one for one in self._made if one.user == self.user][-3:]
        if made:
            again, id = made[which % len(made)], self._new_number()
            self._calls[id] = set()
            self._numbers[str(id)] = again.number
            identity = CallId(_CLIENT + self.name, str(again.number))
            self._send(Method(str(id), "write", (again.number, *again.work), call=identity))

    def login(self, user: str | None) -> None:
        """Become somebody else."""
        self.user = user
        for subscription in self.subscriptions.values():
            subscription.readies += 1
        self.call("login", user)

    def stall(self, room_bytes: int) -> None:
        """Stop reading; the socket takes so much before it is full."""
        assert self._socket is not None
        if not self._is_stalled:
            self._is_stalled = True
            self._socket.room_bytes = room_bytes
            self._socket.stall()

    def read(self, max_bytes: int) -> None:
        """Read a little while it is stalled."""
        assert self._socket is not None
        if self._is_stalled:
            self._socket.let_pass(max_bytes)

    def drain(self) -> None:
        """Read what there is, and everything from now on."""
        assert self._socket is not None
        if self._is_stalled:
            self._is_stalled = False
            self._socket.drain()

    async def answered(self) -> None:
        """Wait until nothing that was asked for is left open."""
        while not self._has_all_answers() and not self.faults:
            self._news.clear()
            await self._news.wait()

    async def published(self) -> None:
        """Wait until everything that ran again, because of a permission, has published."""
        assert self._socket is not None
        await self._socket.driver.runs.published()

    # What it shows

    def view(self, collection: str) -> View:
        """Return what it shows of a collection."""
        return self._views.get(collection, {})

    def check_moments(self, history: History, positions: Mapping[int, int]) -> None:
        """Find for every moment a position of the history, none before the one before it.

        Args:
            history: What the database held when.
            positions: Mark of a run -> position of its last change of things.
        """
        moments, self.moments = self.moments, []
        for moment in moments:
            if moment is _NEW_NODE:
                self._floor = 0
            if moment.call is not None:
                # A call may have run without an effect before another run of it had one: it is
                # the run whose outcome was told that is to be seen.
                mark = self._told.get(moment.call)
                self._floor = max(self._floor, positions[mark] if mark is not None else 0)
            subscription, view = moment.subscription, moment.view
            if subscription is None or view is None:
                continue
            floor = max(self._floor, self._last.get(subscription, 0))
            queries = self._queries(subscription)
            if not moment.is_whole:
                wrong = history.fits_singly(queries, view, floor)
                assert wrong is None, (
                    f"{self.name} at {moment.why}: {subscription.name} shows {list(view.values())}"
                    f"; {wrong} was so at no position from {floor} on"
                )
                continue
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
        self._socket.send_frame(serialize(message, bolide=self._speaks_bolide))

    def _send_soon(self, messages: Sequence[ClientMessage]) -> None:
        """Send messages one by one; the server is in the middle of its own sending."""
        socket = self._socket
        self._is_telling = bool(messages)
        if not messages:
            return

        def send() -> None:
            if self._socket is socket:  # it did not go away meanwhile
                self._send(messages[0])
                self._send_soon(messages[1:])

        asyncio.get_running_loop().call_soon(send)

    def _has_all_answers(self) -> bool:
        return (
            self._is_connected
            and self._coming_back is None
            and all(one.is_ready and not one.is_stopping for one in self.subscriptions.values())
            and all(len(answers) == 2 for answers in self._calls.values())
        )

    def _take(self, frames: Sequence[str]) -> None:
        """Take the frames of one turn; an error here would be lost in the server."""
        try:
            for frame in frames:
                self._take_one(frame)
            if self._is_whole:
                self._remember("the end of a turn", is_whole=True)
        except AssertionError as error:
            self.faults.append(f"{self.name}: {error}")
        except Exception as error:
            self.faults.append(f"{self.name}: {type(error).__name__}: {error}")
        self._news.set()

    def _take_one(self, frame: str) -> None:
        match message := parse_server_message(frame):
            case Connected():
                self._is_connected = True
            case Want(views):
                self._tell(views)
            case Void():
                assert self._coming_back is not None or self._came_back is not None
                self._coming_back = None
                self._came_back = None
                self._views.clear()
            case Added() | Changed() | Removed():
                assert self._coming_back is None, f"{message} before the resync was over"
                self._change(message)
            case Ready(subs):
                assert self._coming_back is None, "ready before the resync was over"
                for id in subs:
                    assert id in self.subscriptions, "ready of a subscription that ended"
                    subscription = self.subscriptions[id]
                    assert subscription.readies, "ready came too often"
                    subscription.is_ready = True
                    subscription.readies -= 1
                self._remember("ready")
            case Nosub(id, _) if id in self._refused:
                self._refused.remove(id)  # it was stopped while the refusal was on its way
            case Nosub(id, error):
                subscription = self.subscriptions[id]
                if error is not None:
                    assert subscription.name == BEDS, f"nosub with {error}"
                    assert error.error == 403, f"nosub with {error}"
                    if subscription.is_stopping:
                        self._refused.add(id)
                else:
                    assert subscription.is_stopping, "nosub of a subscription not stopped"
                del self.subscriptions[id]
                self._remember("nosub")
            case Result(id, value, error):
                assert error is None, f"result with {error}"
                self._answer(id, "result")
                self._told[int(id)] = value
                if id in self._numbers:
                    self.results.setdefault(self._numbers[id], []).append(value)
            case Updated(methods):
                for id in methods:
                    self._answer(id, "updated")
                    self._remember(f"updated of {id}", int(id))
            case _:
                raise AssertionError(f"the server sent {message}")

    def _tell(self, wanted: Sequence[str]) -> None:
        coming_back = self._coming_back
        assert coming_back is not None, "something is wanted and nothing was offered"
        assert coming_back.is_asked, "something is wanted before it was offered"
        messages = coming_back.tell(wanted)
        self._coming_back, self._came_back = None, coming_back
        self._send_soon(messages)

    @property
    def _is_whole(self) -> bool:
        """What it shows is of one position: nothing is on its way or waits for it."""
        if self._is_stalled or self._is_telling or self._coming_back is not None:
            return False
        assert self._socket is not None
        return not self._socket.driver.session.waiting_documents

    def _answer(self, id: str, kind: str) -> None:
        answers = self._calls[int(id)]
        assert kind not in answers, f"two {kind} for one call"
        answers.add(kind)

    def _change(self, message: Added | Changed | Removed) -> None:
        view = self._views.setdefault(message.collection, {})
        key = key_of(message.id)
        what = f"{type(message).__name__.lower()} {message.id} of {message.collection}"
        if isinstance(message, Added) and message.replace:
            assert key in view, f"{what} as a replacement, which the client does not hold"
            assert self._came_back is not None, f"{what} as a replacement, without a resync"
            assert self._came_back.held(message.collection, key), f"{what} is no old one"
            view[key] = {"_id": message.id, **message.fields}
            return
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

    def _remember(self, why: str, call: int | None = None, *, is_whole: bool = False) -> None:
        # In the middle of a turn documents that wait behind a message may be newer than it.
        on_things = [one for one in self.subscriptions.values() if _shows_things(one.name)]
        only = on_things[0] if len(on_things) == 1 else None
        if only is None or not only.is_ready or only.name == MANUAL or only.name in JOINS:
            if not on_things and is_whole:
                assert not self._views.get(THINGS), "documents are left of what was stopped"
            self.moments.append(Moment(why, None, None, call))
            return
        view = dict(self._views.get(THINGS, {}))
        # What was to be shown and is taken back before it was sent is not sent at all.
        is_shown = is_whole or not only.is_stopping
        self.moments.append(Moment(why, only, view if is_shown else None, call, is_whole))


def _shows_things(name: str) -> bool:
    return name in ("mine", MANUAL, *JOINS) or any(
        q.collection == THINGS for q in queries_of(name, None)
    )
